"""The rich world: what it says is what its pixels show, and every disturbance is there."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xsd_edge.world.captions import Said, parse, vocabulary, words
from xsd_edge.world.scenes import FRAMES, Scene, frame_phases
from xsd_edge.world.spec import PLAIN, RICH, World
from xsd_edge.world.surroundings import SHOWS_MOTION, Camera, Fence, Surroundings
from xsd_edge.world.things import SIDE, SIZES, Motion, Thing, Turn

SEEDS = st.integers(0, 2_000_000_000)
HIDING = (101, 115, 264, 447)  # seeds of scenes with a thing that nothing shows
CLEAN = replace(RICH, pixels="clean", flicker=0.0)
ROUND = ("circle", "square", "cross", "ring", "diamond", "hourglass")  # centred on their centre


def traces(scene: Scene, thing: Thing) -> NDArray[np.bool_]:
    """The pixels of each frame that would be others without the thing. [FRAMES, SIDE, SIDE]"""
    without = replace(scene, things=tuple(t for t in scene.things if t is not thing))
    change = abs(scene.render(frame_phases()) - without.render(frame_phases()))
    return np.asarray(change.max(-1) > 12)


def area(thing: Thing) -> float:
    """Pixels of the thing where it stands alone."""
    alone = Scene(0, (replace(thing, x=32, y=32, turn=None),), 0.0, (0.0, 0.0))
    return float(traces(alone, alone.things[0])[0].sum())


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_what_is_told_shows_and_what_is_not_does_not(seed: int) -> None:
    scene = Scene.from_seed(seed, RICH)
    for thing in scene.things:
        shown = traces(scene, thing).sum((1, 2)) / area(thing)
        if thing in scene.told:
            assert shown.max() > 0.7
            assert (shown > 0.35).sum() >= 3
        else:
            assert shown.max() < 0.2  # edges of pixels


@pytest.mark.parametrize("seed", HIDING)
def test_nothing_is_said_or_asked_of_a_thing_that_stays_hidden(seed: int) -> None:
    scene = Scene.from_seed(seed, RICH)
    unseen = [t for t in scene.things if t not in scene.told]
    assert unseen
    for exchange in scene.exchanges():
        assert not {t.shape for t in unseen} & {*words(exchange.question), *words(exchange.answer)}


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_captions_and_answers_are_the_scene_s_truth(seed: int) -> None:
    scene = Scene.from_seed(seed, RICH)
    said = parse(scene.caption())
    assert said == tuple(map(Said.of, scene.told))
    answers = {e.question: e.answer for e in scene.exchanges()}
    assert answers["Describe the scene."] == scene.caption()
    moving = [s for s in said if any(s.moves)]
    counted = ("None", "One", "Two", "Three")[len(moving)]
    assert answers["How many objects are moving?"] == f"{counted}."
    for thing in said:
        assert answers[f"What colour is the {thing.shape}?"] == f"{thing.colour.capitalize()}."
        way = answers[f"Which way does the {thing.shape} move?"]
        assert all(direction in way for direction in thing.directions if direction)
        assert ("still" in way) == (thing.directions[0] is None)


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_motions_told_are_those_of_the_pixels_where_the_camera_is_still_or_not(seed: int) -> None:
    """Centroids of what a thing changes in the picture, put back by what the camera moved."""
    scene = Scene.from_seed(seed, RICH)
    moved = scene.around.camera.moved(frame_phases())
    for thing in scene.told:
        clear = scene.shares[scene.things.index(thing)] > 0.98
        if thing.shape not in ROUND or clear.sum() < FRAMES:
            continue
        found = [np.argwhere(seen).mean(0)[::-1] + 0.5 for seen in traces(scene, thing)]
        path = np.array(found) + moved
        np.testing.assert_allclose(path, thing.centres(frame_phases()), atol=1.0)
        if thing.turn is None:
            dx, dy = (path[-1] - path[0]) * FRAMES / (FRAMES - 1)
            assert (dx, dy) == pytest.approx(thing.motions[0].velocity, abs=1.5)


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_a_seed_is_its_bytes(seed: int) -> None:
    first, again = (Scene.from_seed(seed, RICH) for _ in range(2))
    assert first == again
    np.testing.assert_array_equal(first.frames(), again.frames())
    for a, b in zip(astuple(first.events()), astuple(again.events()), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("world", [PLAIN, RICH], ids=lambda world: world.name)
def test_the_grammar_s_words_are_the_vocabulary(world: World) -> None:
    drawn = [Scene.from_seed(seed, world) for seed in range(1500)]
    texts = [f"{e.question} {e.answer}" for scene in drawn for e in scene.exchanges()]
    assert set(words(" ".join(texts))) == vocabulary(world)


def blocks(scene: Scene, side: int = 16) -> NDArray[np.int64]:
    """Events in each square block of the picture."""
    events = scene.events()
    at = (events.y // side).astype(np.int64) * (SIDE // side) + events.x // side
    return np.bincount(at, minlength=(SIDE // side) ** 2)


def test_a_panning_camera_sees_events_everywhere() -> None:
    world = replace(CLEAN, camera=1.0, grounds=SHOWS_MOTION)
    for seed in range(25):
        assert blocks(Scene.from_seed(seed, world)).min() > 0
        still = Scene.from_seed(seed, replace(world, camera=0.0))
        assert (blocks(still, 8) == 0).mean() > 0.2


def test_a_camera_moves_only_where_the_ground_shows_it() -> None:
    drawn = [Scene.from_seed(seed, replace(RICH, camera=1.0)).around for seed in range(200)]
    assert {a.ground.kind for a in drawn if a.ground and a.camera.moves} == {*SHOWS_MOTION}
    assert not any(a.camera.moves for a in drawn if a.ground is None)


def quiet(seed: int, world: World) -> Scene:
    """A scene in which nothing stands or moves, by itself, on its ground."""
    return replace(Scene.from_seed(seed, world), things=())


def test_flicker_makes_events_and_frames_of_unequal_light() -> None:
    world = replace(CLEAN, flicker=1.0, camera=0.0)
    for seed in range(10):
        scene = quiet(seed, world)
        events = scene.events()
        assert {*np.unique(events.p)} == {0, 1}
        assert blocks(scene).min() > 0
        assert np.ptp(scene.render(frame_phases()).mean((1, 2, 3))) > 1
        assert len(quiet(seed, replace(world, flicker=0.0)).events()) == 0


def test_noise_comes_at_the_noisy_preset_s_rate() -> None:
    """5 Hz of shot noise a pixel, thinned by the light, and 0.1 Hz of leak (v2e's `noisy`)."""
    world = replace(PLAIN, pixels="noisy")
    counts = [len(quiet(seed, world).events()) for seed in range(8)]
    per_pixel = np.mean(counts) / SIDE**2
    light = (np.mean([quiet(seed, world).background for seed in range(8)]) + 20) / 275
    expected = 5 * (1 - 0.75 * light) + 0.1
    assert per_pixel == pytest.approx(expected, rel=0.15)  # thresholds differ: some more


def test_a_thing_behind_a_bar_is_hidden_and_said_to_be() -> None:
    bar = Surroundings(fence=Fence(True, 32.0, 16.0, 64.0, 100.0))
    crossing = Thing("circle", "red", "small", 32, 20, "to the right", "quickly")
    other = Thing("cross", "blue", "small", 12, 50)
    scene = Scene(0, (replace(crossing, x=15), other), 20.0, (0.0, 0.0), bar)
    shares = scene.shares[0]
    assert shares[-1] == 1
    assert shares.min() < 0.05
    behind = Thing("ring", "white", "small", 32, 44)
    scene = Scene(0, (other, behind), 20.0, (0.0, 0.0), bar)
    assert scene.told == (other,)
    assert scene.caption() == "A small blue cross stays still."
    arriving = Thing("square", "green", "small", 48, 20, "to the left", "slowly")
    scene = Scene(0, (arriving,), 20.0, (0.0, 0.0), bar)
    answers = {e.question: e.answer for e in scene.exchanges()}
    assert answers["Where is the square at last?"] == "Hidden."
    assert answers["Where is the square at first?"] == "C six."


def test_turns_are_told() -> None:
    turn = Turn(0.5, Motion("to the left", "quickly"))
    thing = Thing("ring", "red", "small", 40, 40, "upwards", "slowly", turn)
    assert thing.motion == "moves slowly upwards then quickly to the left"
    assert thing.centre(1.0) == (40 - 17, 40 - 7.5)
    stopping = replace(thing, turn=Turn(0.5, Motion()))
    assert stopping.motion == "moves slowly upwards then stops"
    starting = replace(thing, direction=None, speed=None)
    assert starting.motion == "stays still then moves quickly to the left"
    scene = Scene(0, (thing,), 20.0, (0.0, 0.0))
    answers = {e.question: e.answer for e in scene.exchanges()}
    assert answers["Which way does the ring move?"] == "It moves upwards then to the left."
    assert thing.carried_on(1, 2) == Thing("ring", "red", "small", 1, 2, "to the left", "quickly")


def test_the_camera_s_motion_is_not_the_thing_s() -> None:
    still = Thing("circle", "red", "small", 40, 40)
    panned = Scene(0, (still,), 20.0, (0.0, 0.0), Surroundings(camera=Camera((8.0, 0.0))))
    assert panned.centre(still, 1.0) == (32.0, 40.0)
    assert panned.caption() == "A small red circle stays still."
    answers = {e.question: e.answer for e in panned.exchanges()}
    assert answers["Where is the circle at last?"] == "F five."  # as the picture shows


def test_every_part_of_richness_occurs() -> None:
    drawn = [Scene.from_seed(seed, RICH) for seed in range(400)]
    assert {s.around.ground.kind if s.around.ground else "plain" for s in drawn} == {*RICH.grounds}
    assert {t.shape for s in drawn for t in s.told} == {*RICH.shapes}
    for part in (
        [s.around.fence is not None for s in drawn],
        [s.around.crossing for s in drawn],
        [s.around.light.share > 0 for s in drawn],
        [s.around.camera.moves for s in drawn],
        [any(t.turn for t in s.told) for s in drawn],
        [bool((s.shares < 0.8).any()) for s in drawn],
    ):
        assert 0.1 < np.mean(part) < 0.9
    assert all(
        len({t.colour for t in s.things}) == len(s.things) for s in drawn if s.around.crossing
    )
    assert all(
        0 < v < SIDE for s in drawn for t in s.things for p in (0, 1) for v in s.centre(t, p)
    )
    assert {len(s.told) for s in drawn} == {1, 2, 3}
    assert max(SIZES.values()) < SIDE / 4
