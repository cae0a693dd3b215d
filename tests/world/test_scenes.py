"""The paired world: deterministic, split by seed, and as the captions say."""

from __future__ import annotations

from collections import Counter

import numpy as np

from xsd_edge.world import scenes
from xsd_edge.world.scenes import Scene
from xsd_edge.world.spec import PLAIN_SHAPES
from xsd_edge.world.things import COLOURS, DIRECTIONS, Thing, place_of


def test_a_seed_is_a_scene() -> None:
    first, again = Scene.from_seed(42), Scene.from_seed(42)
    assert first == again
    np.testing.assert_array_equal(first.frames(), again.frames())
    assert Scene.from_seed(43) != first


def test_frames_show_the_things_where_they_are() -> None:
    """At a thing's centre its colour stands, in every frame, within the sensor noise."""
    for seed in range(40):
        scene = Scene.from_seed(seed)
        frames = scene.frames().astype(float)
        for thing in scene.things:
            for frame, phase in zip(frames, scenes.frame_phases(), strict=True):
                x, y = thing.centre(float(phase))
                seen = frame[int(y) - 1 : int(y) + 1, int(x) - 1 : int(x) + 1].mean((0, 1))
                assert np.abs(seen - COLOURS[thing.colour]).max() < 25


def test_things_stay_inside_and_apart() -> None:
    for seed in range(300):
        scene = Scene.from_seed(seed)
        for phase in (0.0, 0.5, 1.0):
            for thing in scene.things:
                assert all(0 < v < scenes.SIDE for v in thing.centre(phase))
        shapes = [t.shape for t in scene.things]
        assert len(set(shapes)) == len(shapes)  # "the circle" names one thing


def test_captions_name_what_moves_first() -> None:
    still = Thing("circle", "red", "small", 20, 20)
    moving = Thing("cross", "blue", "large", 40, 40, "upwards", "slowly")
    scene = Scene(0, (moving, still), 30.0, (0.0, 0.0))
    assert scene.caption() == (
        "A large blue cross moves slowly upwards while a small red circle stays still."
    )
    answers = {e.question: e.answer for e in scene.exchanges()}
    assert answers["What is moving?"] == "A large blue cross."
    assert answers["What stays still?"] == "A small red circle."
    assert answers["How many objects are there?"] == "Two."
    assert answers["How many objects are moving?"] == "One."
    assert answers["Which way does the cross move?"] == "It moves upwards."
    assert answers["Which way does the circle move?"] == "It stays still."
    assert answers["What colour is the circle?"] == "Red."
    assert answers["Where is the circle at last?"] == "C three."
    assert answers["Where is the cross at first?"] == "E six."


def test_every_kind_of_scene_occurs() -> None:
    drawn = [Scene.from_seed(seed) for seed in range(1000)]
    counts = Counter(len(s.things) for s in drawn)
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 150
    assert any(not s.moving for s in drawn)
    assert any(not s.still for s in drawn)
    words = {word for s in drawn for t in s.things for word in (t.shape, t.colour, t.direction)}
    assert words >= {*PLAIN_SHAPES, *COLOURS, *DIRECTIONS, None}


def test_places_are_map_squares() -> None:
    assert place_of(1, 63) == "H one"
