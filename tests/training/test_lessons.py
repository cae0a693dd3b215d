"""The target's lessons: what is picked, what probes read, what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.conftest import LANGUAGE, byte_tokenizer, smallest_recipe
from tests.training.test_target import tiny_target
from xsd_edge.models.target import add_low_rank
from xsd_edge.recipe import Recipe
from xsd_edge.training.lessons import (
    PLACES,
    THINGS,
    Lesson,
    LookProbe,
    Student,
    mostly_several,
    teach_patches,
    teach_talk,
)
from xsd_edge.training.loop import Phase
from xsd_edge.training.patches import IGNORED, LOOKS, look_counts
from xsd_edge.world.scenes import Scene

pytestmark = pytest.mark.host
EACH_LESSON = pytest.mark.parametrize("lesson", [PLACES, THINGS], ids=lambda lesson: lesson.name)


@pytest.fixture
def recipe() -> Recipe:
    smallest = smallest_recipe(Path())
    short = replace(smallest.target_training, projector_batch=8, language_batch=2)
    return replace(smallest, target_training=short)


def pupil(recipe: Recipe, lesson: Lesson) -> Student:
    probe = LookProbe(recipe, LANGUAGE.hidden_size, lesson.looks)
    return Student(tiny_target(recipe), probe, recipe, byte_tokenizer())


def test_places_and_one_other_are_asked() -> None:
    for seed in range(20):
        scene = Scene.from_seed(seed)
        others = scene.exchanges()[1:]
        picked = list(PLACES.pick(others, np.random.default_rng(seed)))
        places = min(4, 2 * len(scene.told))  # at first and at last
        assert [others[n].kind == "where" for n in picked] == [True] * places + [False]
        assert len(set(picked)) == places + 1


def test_both_counts_a_place_and_two_others_are_asked() -> None:
    for seed in range(20):
        others = Scene.from_seed(seed).exchanges()[1:]
        picked = list(THINGS.pick(others, np.random.default_rng(seed)))
        kinds = [others[n].kind for n in picked]
        assert kinds[:3] == ["count", "count_moving", "where"]
        assert not {"count", "count_moving", "where"} & set(kinds[3:])
        assert len(set(picked)) == len(picked) == 5


def test_what_is_not_there_is_not_asked() -> None:
    others = [asked for asked in Scene.from_seed(3).exchanges()[1:] if asked.kind != "where"]
    assert len(list(PLACES.pick(others, np.random.default_rng(0)))) == 1


def test_things_are_learnt_from_scenes_of_several_and_a_few_of_one() -> None:
    seeds = count(THINGS.clip_seed)
    drawn = ((seed, Scene.from_seed(seed)) for seed in seeds)
    taken = list(islice((each for each in drawn if mostly_several(*each)), 300))
    alone = [seed for seed, scene in taken if len(scene.told) == 1]
    assert 5 < len(alone) < 50
    assert all(seed % 4 == 0 for seed in alone)


@pytest.mark.parametrize("looks", [("row", "column"), LOOKS])
def test_a_probe_that_knows_has_no_loss(recipe: Recipe, looks: tuple[str, ...]) -> None:
    """States that spell what can be seen, each of the first numbers for one answer."""
    counts = [look_counts(recipe)[LOOKS.index(look)] for look in looks]
    firsts = [sum(counts[:n]) for n in range(len(counts))]
    width = sum(counts)
    truth, states = torch.full((2, 17, len(LOOKS)), IGNORED), torch.zeros(2, 17, width)
    for clip, token, seen in ((0, 3, (1, 4, 0, 1, 7)), (0, 16, (2, 0, 1, 6, 0)), (1, 1, (0,) * 5)):
        truth[clip, token] = torch.tensor(seen)
        answers = [seen[LOOKS.index(look)] for look in looks]
        states[clip, token, [a + b for a, b in zip(firsts, answers, strict=True)]] = 1.0
    probe = LookProbe(recipe, width, looks)
    with torch.no_grad():
        probe.read.weight.copy_(torch.eye(width) * 20)
        probe.read.bias.zero_()
    loss, found = probe.loss(states, truth)
    assert found == 1.0
    assert loss < 1e-3
    wrong, lost = probe.loss(states.roll(1, dims=-1), truth)
    assert lost == 0.0
    assert wrong > 10


@EACH_LESSON
def test_patches_are_taught_and_the_language_model_stays(
    recipe: Recipe, tmp_path: Path, lesson: Lesson
) -> None:
    student = pupil(recipe, lesson)
    before = {k: v.clone() for k, v in student.model.state_dict().items()}
    losses: list[float] = []
    phase = Phase("patch", tmp_path, {}, False, lambda n, s, t, v: losses.append(v["loss"]))
    teach_patches(student, lesson, 20, phase)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    for name, value in student.model.state_dict().items():
        if "tower" not in name and "projector" not in name:
            assert torch.equal(value, before[name]), name


@EACH_LESSON
def test_talking_leaves_no_hook_behind(recipe: Recipe, tmp_path: Path, lesson: Lesson) -> None:
    student = pupil(recipe, lesson)
    add_low_rank(student.model, recipe.target.low_rank)
    logged: list[dict[str, float]] = []
    phase = Phase("talk", tmp_path, {}, False, lambda n, s, t, v: logged.append(v))
    teach_talk(student, lesson, 4, 2, phase)
    assert not student.model.model.multi_modal_projector._forward_hooks
    assert {"said", "moved", "seen", "found"} <= set(logged[0])
    factors = [
        n for n, p in student.model.named_parameters() if n.endswith(".b") and p.abs().sum() > 0
    ]
    assert factors
