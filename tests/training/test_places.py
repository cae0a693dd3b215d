"""The target learns where things are: which questions are picked, probes, what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.conftest import LANGUAGE, byte_tokenizer, smallest_recipe
from tests.training.test_target import tiny_target
from xsd_edge.models.target import add_low_rank
from xsd_edge.recipe import Recipe
from xsd_edge.training.clips import IGNORED
from xsd_edge.training.loop import Phase
from xsd_edge.training.places import (
    PlaceProbe,
    mostly_places,
    train_patch_places,
    train_places,
)
from xsd_edge.world.scenes import Scene

pytestmark = pytest.mark.host


@pytest.fixture
def recipe() -> Recipe:
    smallest = smallest_recipe(Path())
    short = replace(
        smallest.target_training,
        patch_places_steps=20,
        projector_batch=8,
        places_steps=4,
        language_batch=2,
    )
    return replace(smallest, target_training=short)


def test_places_and_one_other_are_asked() -> None:
    for seed in range(20):
        scene = Scene.from_seed(seed)
        others = scene.exchanges()[1:]
        picked = mostly_places(others, np.random.default_rng(seed))
        places = min(4, 2 * len(scene.told))  # at first and at last
        assert [others[n].kind == "where" for n in picked] == [True] * places + [False]
        assert len(set(picked)) == places + 1


def test_without_places_the_other_is_asked() -> None:
    others = [asked for asked in Scene.from_seed(3).exchanges()[1:] if asked.kind != "where"]
    assert len(mostly_places(others, np.random.default_rng(0))) == 1


def test_a_probe_that_knows_has_no_loss() -> None:
    """States that spell row and column, each of the first 16 numbers for one of them."""
    place, states = torch.full((2, 17, 2), IGNORED), torch.zeros(2, 17, 16)
    for clip, token, row, column in ((0, 3, 1, 7), (0, 16, 6, 0), (1, 1, 0, 2)):
        place[clip, token] = torch.tensor([row, column])
        states[clip, token, [row, 8 + column]] = 1.0
    probe = PlaceProbe(16)
    with torch.no_grad():
        probe.read.weight.copy_(torch.eye(16) * 20)
        probe.read.bias.zero_()
    loss, found = probe.loss(states, place)
    assert found == 1.0
    assert loss < 1e-3
    wrong, lost = probe.loss(states.roll(1, dims=-1), place)
    assert lost == 0.0
    assert wrong > 10


def test_patches_learn_places_and_the_language_model_stays(recipe: Recipe, tmp_path: Path) -> None:
    model = tiny_target(recipe)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses: list[float] = []
    probe = PlaceProbe(LANGUAGE.hidden_size)
    phase = Phase(
        "patch-places", tmp_path, {"0": model}, False, lambda n, s, t, v: losses.append(v["loss"])
    )
    train_patch_places(model, probe, recipe, byte_tokenizer(), phase)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    for name, value in model.state_dict().items():
        if "tower" not in name and "projector" not in name:
            assert torch.equal(value, before[name]), name


def test_talking_about_places_leaves_no_hook_behind(recipe: Recipe, tmp_path: Path) -> None:
    model = tiny_target(recipe)
    add_low_rank(model, recipe.target.low_rank)
    logged: list[dict[str, float]] = []
    phase = Phase("places", tmp_path, {"0": model}, False, lambda n, s, t, v: logged.append(v))
    train_places(model, PlaceProbe(LANGUAGE.hidden_size), recipe, byte_tokenizer(), 2, phase)
    assert not model.model.multi_modal_projector._forward_hooks
    assert {"said", "moved", "seen", "found"} <= set(logged[0])
    factors = [n for n, p in model.named_parameters() if n.endswith(".b") and p.abs().sum() > 0]
    assert factors
