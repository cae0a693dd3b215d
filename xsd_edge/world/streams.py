"""Streams of clips whose scenes evolve: things persist; motions start, stop and turn; things come
and go.

Part of the paired world: drawn from a seed and a `World`, streams from `HELD_OUT` on are never
trained on. In the plain world motions are constant within a clip: what changes, changes at the
border between two clips, where the event camera sees a thing appear or vanish. What surrounds the
things goes on: ground, fence and light; the camera sets out anew from where it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from xsd_edge.events.packet import EventPacket
from xsd_edge.world.scenes import CLIP_US, FRAMES, HELD_OUT, Scene, frame_phases, in_order
from xsd_edge.world.spec import PLAIN, World
from xsd_edge.world.surroundings import STEADY, Surroundings
from xsd_edge.world.things import Motion, Thing, draw_motion, draw_thing, turned
from xsd_edge.world.visibility import depth_behind, fits

LEAVES = 0.12  # chances per thing and clip
GOES_ON = 0.45
STOPS = 0.3
COMES = 0.3  # chance per clip that a new thing comes, where there is room
FATES = ("stays", "comes", "leaves")
FORESEEN = (FRAMES - 1) / FRAMES  # share of a clip that has been seen when early drafts are made
TRIES = 40  # draws of one change before the thing is left standing, or outside


class Change(NamedTuple):
    """One thing that events tell of."""

    thing: Thing
    fate: str  # of FATES
    motion: Motion  # at that moment; none of what has left
    at: tuple[float, float]  # where in the picture its centre is; of what has left, was


@dataclass(frozen=True, slots=True)
class StreamClip:
    """One clip of a stream, and the scene that it goes on from."""

    scene: Scene
    before: Scene | None

    def events(self) -> EventPacket:
        """What an event camera sees in this clip, the border to the last one included."""
        return self.scene.events(self.before)

    def changes(self, phase: float) -> list[Change]:
        """What has moved, come or left by `phase`; what only stands still is not among them."""
        now, before = self.scene, self.before
        found: list[Change] = []
        ends: set[tuple[str, float, float]] = set()
        if before is not None:
            begun = {(t.name, t.x, t.y) for t in now.things}
            for thing in before.things:
                end = before.centre(thing, 1.0)
                ends.add((thing.name, *end))
                if (thing.name, *end) not in begun:
                    found.append(Change(thing, "leaves", Motion(), end))
        for thing in now.things:
            comes = before is not None and (thing.name, thing.x, thing.y) not in ends
            if comes or thing.moves:
                fate = "comes" if comes else "stays"
                at = now.centre(thing, phase)
                found.append(Change(thing, fate, thing.motion_at(phase)[0], at))
        return found


def stream(seed: int, clips: int, world: World = PLAIN) -> Iterator[StreamClip]:
    """The first `clips` clips of a stream."""
    rng = np.random.default_rng((seed, 7))
    first = HELD_OUT if seed >= HELD_OUT else 0
    drawn = Scene.from_seed(seed, world)
    before, scene = None, replace(drawn, seed=first + int(rng.integers(HELD_OUT)))
    for _ in range(clips):
        yield StreamClip(scene, before)
        following = evolved(scene, rng, world)
        before, scene = scene, replace(following, seed=first + int(rng.integers(HELD_OUT)))


def foreseen(events: EventPacket) -> EventPacket:
    """What has been seen of a clip when early drafts are made, before its last frame's slice."""
    return events.between(0, int(CLIP_US * FORESEEN))


def evolved(scene: Scene, rng: np.random.Generator, world: World = PLAIN) -> Scene:
    """The next clip's scene: everything begins where it was, not everything goes on."""
    around = scene.around.later(world, rng)
    staying = [t for t in scene.things if len(scene.things) == 1 or rng.random() >= LEAVES]
    things: list[Thing] = []
    for thing in staying or scene.things[:1]:
        begun = thing.carried_on(*scene.centre(thing, 1.0))
        moved = _next_motion(begun, things, around, world, rng)
        if moved is not None:
            things.append(moved)
    if len(things) < 3 and rng.random() < COMES:
        things += _newcomer(things, around, world, rng)
    following = replace(scene, things=in_order(things), around=around)
    while not following.told:  # all in sight are behind bars, or gone: the camera waits
        around = replace(around, camera=STEADY)
        things = things[:2] + _newcomer(things[:2], around, world, rng)
        following = replace(scene, things=in_order(things), around=around)
    return following


def _newcomer(
    things: list[Thing], around: Surroundings, world: World, rng: np.random.Generator
) -> list[Thing]:
    """A thing of a shape that is not there yet; none where no place is found for it."""
    absent = [s for s in world.shapes if s not in {t.shape for t in things}]
    shape = absent[int(rng.integers(len(absent)))]
    for _ in range(TRIES):
        thing = turned(draw_thing(rng, shape), world.turns, rng)
        thing = replace(thing, depth=depth_behind(things, around))
        if fits(thing, things, around, frame_phases()):
            return [thing]
    return []


def _next_motion(
    thing: Thing,
    others: list[Thing],
    around: Surroundings,
    world: World,
    rng: np.random.Generator,
) -> Thing | None:
    """The thing with a motion that keeps it in sight and clear of the others; None where even
    standing still is in somebody's way.
    """
    for attempt in range(TRIES):
        fate = rng.random()
        if fate < GOES_ON and attempt == 0:
            moved = thing
        elif fate < GOES_ON + STOPS:
            moved = _moving(thing, Motion())
        else:
            moved = _moving(thing, draw_motion(rng))
        moved = turned(moved, world.turns, rng)
        if fits(moved, others, around, frame_phases()):
            return moved
    still = _moving(thing, Motion())
    return still if fits(still, others, around, frame_phases()) else None


def _moving(thing: Thing, motion: Motion) -> Thing:
    return replace(thing, direction=motion.direction, speed=motion.speed)
