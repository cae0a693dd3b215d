"""Streams of clips whose scenes evolve: things persist; motions start, stop and turn; things come
and go.

Part of the paired world: drawn from a seed alone, streams from `HELD_OUT` on are never trained on.
Within a clip motions are constant, so each clip is a scene as the target knows them; what changes,
changes at the border between two clips, where the event camera sees a thing appear or vanish.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from xsd_edge.events.packet import EventPacket
from xsd_edge.events.simulator import PRESETS, simulate
from xsd_edge.world.scenes import (
    CLIP_US,
    DIRECTIONS,
    FRAMES,
    HELD_OUT,
    SHAPES,
    SIDE,
    SIZES,
    SPEEDS,
    SUBFRAMES,
    Scene,
    Thing,
    apart,
    draw_thing,
)

LEAVES = 0.12  # chances per thing and clip
GOES_ON = 0.45
STOPS = 0.3
COMES = 0.3  # chance per clip that a new thing comes, where there is room
TRIES = 40  # draws of one change before the thing is left standing, or outside


@dataclass(frozen=True, slots=True)
class StreamClip:
    """One clip of a stream, and the scene that it goes on from."""

    scene: Scene
    before: Scene | None

    def events(self) -> EventPacket:
        """What an event camera sees in this clip, the border to the last one included."""
        phases = np.linspace(0, 1, SUBFRAMES)
        frames = self.scene.render(phases)
        if self.before is not None:
            frames[0] = self.before.render(np.ones(1))[0]
        times = np.rint(phases * CLIP_US).astype(np.int64)
        return simulate(frames, times, PRESETS["default"], self.scene.seed)


def stream(seed: int, clips: int) -> Iterator[StreamClip]:
    """The first `clips` clips of a stream."""
    rng = np.random.default_rng((seed, 7))
    first = HELD_OUT if seed >= HELD_OUT else 0
    before, scene = None, replace(Scene.from_seed(seed), seed=first + int(rng.integers(HELD_OUT)))
    for _ in range(clips):
        yield StreamClip(scene, before)
        following = evolved(scene, rng)
        before, scene = scene, replace(following, seed=first + int(rng.integers(HELD_OUT)))


def foreseen(events: EventPacket) -> EventPacket:
    """What has been seen of a clip when early drafts are made, before its last frame's slice."""
    return events.between(0, CLIP_US * (FRAMES - 1) // FRAMES)


def evolved(scene: Scene, rng: np.random.Generator) -> Scene:
    """The next clip's scene: everything begins where it was, not everything goes on."""
    staying = [t for t in scene.things if len(scene.things) == 1 or rng.random() >= LEAVES]
    things: list[Thing] = []
    for thing in staying or scene.things[:1]:
        x, y = thing.centre(1.0)
        moved = _next_motion(replace(thing, x=x, y=y), things, rng)
        if moved is not None:
            things.append(moved)
    absent = [s for s in SHAPES if s not in {t.shape for t in things}]
    if len(things) < 3 and rng.random() < COMES:
        shape = absent[int(rng.integers(len(absent)))]
        for _ in range(TRIES):
            thing = draw_thing(rng, shape)
            if all(apart(thing, other) for other in things):
                things.append(thing)
                break
    things.sort(key=lambda t: (t.direction is None, SHAPES.index(t.shape)))
    return replace(scene, things=tuple(things))


def _next_motion(thing: Thing, others: list[Thing], rng: np.random.Generator) -> Thing | None:
    """The thing with a motion that keeps it in sight and clear of the others; None where even
    standing still is in somebody's way.
    """
    for attempt in range(TRIES):
        fate = rng.random()
        if fate < GOES_ON and attempt == 0:
            moved = thing
        elif fate < GOES_ON + STOPS:
            moved = replace(thing, direction=None, speed=None)
        else:
            direction, speed = str(rng.choice(list(DIRECTIONS))), str(rng.choice(list(SPEEDS)))
            moved = replace(thing, direction=direction, speed=speed)
        if _in_sight(moved) and all(apart(moved, other) for other in others):
            return moved
    still = replace(thing, direction=None, speed=None)
    return still if all(apart(still, other) for other in others) else None


def _in_sight(thing: Thing) -> bool:
    radius = SIZES[thing.size]
    return all(
        radius <= value <= SIDE - radius for phase in (0.0, 1.0) for value in thing.centre(phase)
    )
