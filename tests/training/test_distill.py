"""What the drafter learns from: events of scenes, and the collection's file form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.host


def test_events_show_motion_and_nothing_that_stands_still() -> None:
    from xsd_edge.world import scenes
    from xsd_edge.world.scenes import Scene
    from xsd_edge.world.things import Thing

    still = Thing("circle", "red", "large", 16, 16)
    moving = Thing("cross", "blue", "large", 20, 48, "to the right", "quickly")
    packet = Scene(7, (moving, still), 30.0, (0.0, 0.0)).events()
    upper = (packet.y < 32).sum()
    assert len(packet) > 500
    assert upper < len(packet) * 0.02  # noise only
    assert packet.t.min() >= 0
    assert packet.t.max() <= scenes.CLIP_US
    late, early = packet.x[packet.t > 8e5], packet.x[packet.t < 2e5]
    assert late.mean() > early.mean() + 15


def test_colour_hardly_shows_in_events() -> None:
    """Red and blue of the same brightness step give the same picture of events, up to contrast."""
    from xsd_edge.recipe import Recipe
    from xsd_edge.training.distill import event_counts
    from xsd_edge.world.scenes import Scene
    from xsd_edge.world.things import Thing

    recipe = Recipe.load(Path("export/demo.toml"))
    counts = [
        event_counts(
            Scene(
                1, (Thing("square", c, "large", 20, 30, "to the right", "slowly"),), 20.0, (0, 0)
            ).events(),
            recipe,
        )
        for c in ("red", "blue")
    ]
    red, blue = (np.flatnonzero(c.sum(0).ravel() > 0.5) for c in counts)
    common = len(np.intersect1d(red, blue)) / min(len(red), len(blue))
    assert common > 0.8


def test_a_collection_survives_its_file(tmp_path: Path) -> None:
    from xsd_edge.training.distill import TOP, Distilled, Example

    rng = np.random.default_rng(0)
    examples = [
        Example(
            clip,
            3,
            rng.integers(0, 99, n + 1),
            rng.normal(size=(n, 8)).astype(np.float16),
            rng.integers(0, 99, (n, TOP)),
            rng.random((n, TOP)).astype(np.float16),
        )
        for clip, n in enumerate((5, 9, 6))
    ]
    kept = Distilled(rng.random((3, 4, 8, 8)).astype(np.float16), examples)
    kept.save(tmp_path / "distilled.npz")
    read = Distilled.load(tmp_path / "distilled.npz")
    np.testing.assert_array_equal(read.counts, kept.counts)
    for ours, theirs in zip(read.examples, examples, strict=True):
        assert (ours.clip, ours.question_rows) == (theirs.clip, theirs.question_rows)
        for name in ("tokens", "hidden", "top_tokens", "top_weights"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_the_oracle_stops_drafting_where_the_target_disagrees() -> None:
    from xsd_edge.runtime.sampling import Sampling
    from xsd_edge.training.distill import Oracle

    oracle, rng = Oracle(), np.random.default_rng(0)
    oracle.ask([5, 6, 7, 8, 9])
    oracle.observe(np.zeros((2, 4), np.float32), [5, 6])
    assert oracle.propose(2, Sampling(), rng).tokens == (7, 8)
    oracle.observe(np.zeros((1, 4), np.float32), [1])
    assert oracle.propose(2, Sampling(), rng).tokens == ()


@pytest.mark.parametrize("level", ["plain", "rich"])
def test_answers_that_the_drafter_learns_from_have_every_word(level: str) -> None:
    """Its vocabulary is what those answers say: a word that they lack could never be drafted."""
    from xsd_edge.recipe import Recipe
    from xsd_edge.training.bench import seeds_of
    from xsd_edge.training.distill import asked_about
    from xsd_edge.world.captions import vocabulary, words
    from xsd_edge.world.scenes import Scene
    from xsd_edge.world.spec import LEVELS

    recipe = Recipe.load(Path("export/demo.toml"))
    questions = recipe.drafter_training.questions
    drawn = [Scene.from_seed(seed, LEVELS[level]) for seed in seeds_of(recipe.drafter_training)]
    asked = [asked for scene in drawn for asked in asked_about(scene, questions)]
    learnt = {word for exchange in asked for word in words(exchange.answer)}
    assert learnt | {w for e in asked for w in words(e.question)} == vocabulary(LEVELS[level])
    everything = [exchange for scene in drawn for exchange in scene.exchanges()]
    assert {word for exchange in everything for word in words(exchange.answer)} == learnt
