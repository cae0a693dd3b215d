"""What tower and projector learn from: frames, and in which patch what is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import ROOT
from xsd_edge.recipe import Recipe
from xsd_edge.training.patches import IGNORED, normalized, patch_batches
from xsd_edge.world import scenes
from xsd_edge.world.scenes import Scene
from xsd_edge.world.spec import RICH, SHAPES
from xsd_edge.world.things import COLOURS, SIZES, Thing, square_of

pytestmark = pytest.mark.host

RECIPE = Recipe.load(ROOT / "export" / "demo.toml")


def test_each_centre_lies_in_its_patch() -> None:
    batch = next(patch_batches(RECIPE, 6, first_seed=40))
    for row, seed in enumerate(range(40, 46)):
        phase = float(np.random.default_rng((seed, 2)).random())
        things = Scene.from_seed(seed).things
        assert int(batch.present[row].sum()) <= len(things)
        for thing in things:
            x, y = thing.centre(phase)
            at = int(y // 16) * 4 + int(x // 16)
            assert batch.present[row, at]
            names = (
                SHAPES[int(batch.shape[row, at])],
                list(COLOURS)[int(batch.colour[row, at])],
                list(SIZES)[int(batch.size[row, at])],
            )
            others = [t for t in things if t is not thing and _patch(t, phase) == at]
            assert names == (thing.shape, thing.colour, thing.size) or others
            if not others:
                offset = (x / 16 % 1, y / 16 % 1)
                assert batch.offset[row, at].tolist() == pytest.approx(offset, abs=1e-5)
                assert batch.square[row, at].tolist() == list(square_of(x, y))
                looks = (batch.shape, batch.colour, batch.size)
                indexes = [int(look[row, at]) for look in looks]
                assert batch.looks[row, at].tolist() == [*indexes, *square_of(x, y)]
    assert (batch.looks[~batch.present] == IGNORED).all()


def _patch(thing: Thing, phase: float) -> int:
    x, y = thing.centre(phase)
    return int(y // 16) * 4 + int(x // 16)


def test_held_out_scenes_are_never_drawn() -> None:
    """A seed that has grown beyond them comes round to the first."""
    wrapped = next(patch_batches(RECIPE, 1, first_seed=scenes.HELD_OUT + 5))
    truth = Scene.from_seed(5)
    assert int(wrapped.present.sum()) <= len(truth.things)
    shapes = {SHAPES[int(s)] for s in wrapped.shape[wrapped.present]}
    assert shapes <= {t.shape for t in truth.things}


def test_pixels_are_those_of_the_runtime() -> None:
    from xsd_edge.bundle import ClipInfo
    from xsd_edge.video.preprocess import pixels

    frame = Scene.from_seed(1).frames()[0]
    clip = ClipInfo(8, 64, 17, 1_000_000, (0.5,) * 3, (0.5,) * 3, "bicubic", 64, 5)
    np.testing.assert_allclose(normalized(frame, RECIPE).numpy(), pixels(frame, clip)[0], atol=1e-6)


def test_in_the_rich_world_a_patch_names_only_what_shows() -> None:
    recipe = replace(RECIPE, world=RICH)
    batch = next(patch_batches(recipe, 60, first_seed=40))
    unseen = 0
    for row, seed in enumerate(range(40, 100)):
        phase = float(np.random.default_rng((seed, 2)).random())
        scene = Scene.from_seed(seed, RICH)
        shown = [t for t in scene.told if scene.shows(t, phase)]
        unseen += len(scene.things) - len(shown)
        at = {tuple(int(v // 16) for v in scene.centre(t, phase))[::-1] for t in shown}
        present = batch.present[row].reshape(4, 4).nonzero().tolist()
        assert {tuple(place) for place in present} == at
    assert unseen > 2
    assert {SHAPES[int(s)] for s in batch.shape[batch.present]} == {*SHAPES}
