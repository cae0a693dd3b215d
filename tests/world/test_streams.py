"""Streams: deterministic, evolving, in sight, and held-out ones share no scene with training."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np

from xsd_edge.world.scenes import HELD_OUT, Scene
from xsd_edge.world.spec import RICH
from xsd_edge.world.streams import FATES, FORESEEN, StreamClip, stream
from xsd_edge.world.things import SIDE, SIZES, Thing, apart

STREAMS = [list(stream(seed, 10)) for seed in range(40)]


def test_a_stream_is_its_seed() -> None:
    again = list(stream(7, 10))
    assert again == STREAMS[7]
    np.testing.assert_array_equal(again[3].events().t, STREAMS[7][3].events().t)
    assert list(stream(7, 4)) == again[:4]


def test_what_stays_begins_where_it_was() -> None:
    persisting, jumped = 0, 0
    for clip in (clip for clips in STREAMS for clip in clips[1:]):
        assert clip.before is not None
        was = {t.name: t for t in clip.before.things}
        for thing in clip.scene.things:
            if thing.name in was:
                persisting += 1
                jumped += was[thing.name].centre(1.0) != (thing.x, thing.y)
    # One that left may be followed by another of the same name.
    assert persisting > 300
    assert jumped < 0.02 * persisting


def test_things_stay_in_sight_and_apart() -> None:
    for clip in (clip for clips in STREAMS for clip in clips):
        assert 1 <= len(clip.scene.things) <= 3
        assert len({t.shape for t in clip.scene.things}) == len(clip.scene.things)
        for thing in clip.scene.things:
            for phase in (0.0, 0.5, 1.0):
                assert all(
                    SIZES[thing.size] - 1e-6 <= v <= SIDE - SIZES[thing.size] + 1e-6
                    for v in thing.centre(phase)
                )
        assert all(apart(a, b) for a, b in combinations(clip.scene.things, 2))


def test_everything_that_may_happen_does() -> None:
    shapes = [
        ({t.shape for t in a.scene.things}, {t.shape for t in b.scene.things})
        for clips in STREAMS
        for a, b in pairwise(clips)
    ]
    assert 0.1 < np.mean([bool(after - before) for before, after in shapes]) < 0.5
    assert 0.1 < np.mean([bool(before - after) for before, after in shapes]) < 0.5
    captions = [
        (a.scene.caption(), b.scene.caption()) for clips in STREAMS for a, b in pairwise(clips)
    ]
    # The last answer alone does not tell the next.
    assert 0.1 < np.mean([a == b for a, b in captions]) < 0.5
    assert len({a for a, _ in captions}) > 0.5 * len(captions)


def new_and_still(clip: StreamClip) -> list[Thing]:
    known = {t.shape for t in clip.before.things} if clip.before else set()
    return [t for t in clip.scene.still if t.shape not in known]


def test_a_thing_that_comes_is_seen_by_the_event_camera() -> None:
    clip = next(c for clips in STREAMS for c in clips[1:] if new_and_still(c))
    (thing, *_) = new_and_still(clip)
    events, reach = clip.events(), SIZES[thing.size]
    near = (abs(events.x - thing.x) < reach) & (abs(events.y - thing.y) < reach)
    assert (near & (events.t < 100_000)).sum() > 20


def test_changes_are_what_moves_comes_or_leaves() -> None:
    """And of the rest the event camera sees nothing."""
    fates = dict.fromkeys(FATES, 0)
    for clip in (clip for clips in STREAMS for clip in clips):
        told = {(c.thing.name, c.fate): c for c in clip.changes(FORESEEN)}
        for (_, fate), change in told.items():
            fates[fate] += 1
            scene = clip.before if fate == "leaves" else clip.scene
            assert scene is not None
            assert change.thing in scene.things
            assert change.at == scene.centre(change.thing, 1.0 if fate == "leaves" else FORESEEN)
        untold = [t for t in clip.scene.things if not {(t.name, f) for f in FATES} & told.keys()]
        events = clip.events()
        for thing in untold:
            assert not thing.moves
            near = (abs(events.x - thing.x) < 3) & (abs(events.y - thing.y) < 3)
            assert near.sum() < 10
    assert min(fates.values()) > 20


def test_held_out_streams_share_no_scene_with_training() -> None:
    assert all(clip.scene.seed < HELD_OUT for clips in STREAMS for clip in clips)
    assert all(clip.scene.seed >= HELD_OUT for clip in stream(HELD_OUT + 3, 10))


RICH_STREAMS = [list(stream(seed, 8, RICH)) for seed in range(20)]


def test_rich_streams_are_their_seed_too() -> None:
    again = list(stream(7, 8, RICH))
    assert again == RICH_STREAMS[7]
    np.testing.assert_array_equal(again[3].events().t, RICH_STREAMS[7][3].events().t)


def of_shapes(scene: Scene, shapes: set[str]) -> Scene:
    return replace(scene, things=tuple(t for t in scene.things if t.shape in shapes))


def test_the_picture_of_a_rich_stream_goes_on_over_the_border() -> None:
    """Ground, fence, light and what persists are where they were."""
    jumps = []
    for clip in (clip for clips in RICH_STREAMS for clip in clips[1:]):
        assert clip.before is not None
        stay = {t.shape for t in clip.before.things} & {t.shape for t in clip.scene.things}
        ends, begins = of_shapes(clip.before, stay), of_shapes(clip.scene, stay)
        if {t.name for t in ends.things} == {t.name for t in begins.things}:
            change = abs(ends.render(np.ones(1)) - begins.render(np.zeros(1))).max(-1)
            jumps.append((change > 2).mean() > 0.01)
    # One that left may be followed by another of the same name.
    assert len(jumps) > 50
    assert np.mean(jumps) < 0.02


def test_rich_streams_tell_what_shows() -> None:
    for clip in (clip for clips in RICH_STREAMS for clip in clips):
        scene = clip.scene
        assert scene.told
        for thing, shares in zip(scene.things, scene.shares, strict=True):
            assert (thing in scene.told) == (shares.max() >= 0.05)
            for phase in (0.0, 0.5, 1.0):
                assert all(
                    thing.radius - 1 <= v <= SIDE - thing.radius + 1
                    for v in scene.centre(thing, phase)
                )


def test_things_of_rich_streams_hide_and_come_back() -> None:
    fates = [
        [t.shape in {u.shape for u in clip.scene.told} for clip in clips for t in clip.scene.things]
        for clips in RICH_STREAMS
    ]
    assert any(not told for fate in fates for told in fate)
    turned = [any(t.turn for t in c.scene.told) for clips in RICH_STREAMS for c in clips]
    assert 0.1 < np.mean(turned) < 0.6


def test_what_moves_at_a_clip_s_end_may_go_on_so_in_the_next() -> None:
    going_on = 0
    for clip in (clip for clips in RICH_STREAMS for clip in clips[1:]):
        assert clip.before is not None
        last = {t.name: t.motions[-1] for t in clip.before.moving}
        going_on += sum(last.get(t.name) == t.motions[0] for t in clip.scene.moving)
    assert going_on > 10
