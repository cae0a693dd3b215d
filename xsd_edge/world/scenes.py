"""The paired world: one scene of coloured shapes, seen by a frame camera and by an event camera.

A scene is drawn from a seed and a `World`. Frames carry shape, colour, size and place; events (made
from the same scene by `xsd_edge.events.simulator`) carry shape and motion, but neither colour nor
what stands still. Seeds below `HELD_OUT` are for training, the others are never trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket
from xsd_edge.events.simulator import PRESETS, simulate
from xsd_edge.world.frame_camera import READ_NOISE, SHARP, FrameCamera
from xsd_edge.world.shapes import coverage
from xsd_edge.world.spec import PLAIN, SHAPES, World
from xsd_edge.world.surroundings import UNDISTURBED, Surroundings
from xsd_edge.world.things import COLOURS, Motion, Thing, draw_thing, place_of, turned
from xsd_edge.world.things import SIDE as SIDE
from xsd_edge.world.visibility import HIDDEN, SEEN, depth_behind, fits, told, visible_shares

FRAMES = 8
CLIP_US = 1_000_000
SUBFRAMES = 33  # rendered for the pixel model: things move a pixel or two between them
HELD_OUT = 1_000_000_000
GIVES_UP = 0.02  # chance, after each draw that finds no room, of a scene with fewer things

NUMBERS = ("None", "One", "Two", "Three")
DESCRIBE = "Describe the scene."


class QuestionAnswer(NamedTuple):
    """One supervised exchange; `kind` groups questions for the quality report."""

    kind: str
    question: str
    answer: str


@dataclass(frozen=True)  # without slots: the visible shares are worked out once
class Scene:
    """Up to three things of different shapes, in the order in which they are named."""

    seed: int
    things: tuple[Thing, ...]
    background: float  # shade of the ground where the surroundings have none of their own
    shading: tuple[float, float]
    around: Surroundings = UNDISTURBED

    @classmethod
    def from_seed(cls, seed: int, world: World = PLAIN) -> Scene:
        rng = np.random.default_rng(seed)
        around = Surroundings.drawn(seed, world)
        count = int(rng.choice((1, 2, 3), p=(0.3, 0.4, 0.3)))
        things: list[Thing] = []
        shapes = [world.shapes[i] for i in rng.permutation(len(world.shapes))]
        while len(things) < count:
            thing = turned(draw_thing(rng, shapes[len(things)]), world.turns, rng)
            thing = replace(thing, depth=depth_behind(things, around))
            if fits(thing, things, around, frame_phases()):
                things.append(thing)
            elif things and rng.random() < GIVES_UP:  # a crowded scene: keep what fits
                break
        background = float(rng.uniform(10, 60))
        shading = (float(rng.uniform(-8, 8)), float(rng.uniform(-8, 8)))
        scene = cls(seed, in_order(things), background, shading, around)
        # Behind a fence a scene may have come out empty.
        return scene if scene.told else cls.from_seed(seed, replace(world, fences=0.0))

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """How much of each thing each frame shows. [things, FRAMES]"""
        return visible_shares(self.things, self.around, frame_phases())

    @cached_property
    def told(self) -> tuple[Thing, ...]:
        """The things that captions tell of: not those that stay hidden all the clip."""
        phases = frame_phases()
        pairs = zip(self.things, self.shares, strict=True)
        return tuple(thing for thing, shares in pairs if told(thing, shares, phases))

    @property
    def moving(self) -> tuple[Thing, ...]:
        return tuple(t for t in self.told if t.moves)

    @property
    def still(self) -> tuple[Thing, ...]:
        return tuple(t for t in self.told if not t.moves)

    def centre(self, thing: Thing, phase: float) -> tuple[float, float]:
        """Where in the picture a thing's centre is."""
        x, y = thing.centre(phase)
        moved = self.around.camera.moved(np.array([phase]))[0]
        return x - float(moved[0]), y - float(moved[1])

    def shows(self, thing: Thing, phase: float) -> bool:
        """Would a frame taken then show where the thing is?"""
        at = self.things.index(thing)
        return bool(visible_shares(self.things, self.around, np.array([phase]))[at, 0] >= SEEN)

    def caption(self) -> str:
        return _sentence([f"a {t.name} {t.motion}" for t in self.told])

    def exchanges(self) -> list[QuestionAnswer]:
        """Every question this scene answers, with its answer; the caption first."""
        found = [
            QuestionAnswer("describe", DESCRIBE, self.caption()),
            QuestionAnswer("moves", "What is moving?", _listing(self.moving)),
            QuestionAnswer("still", "What stays still?", _listing(self.still)),
            QuestionAnswer("count", "How many objects are there?", f"{NUMBERS[len(self.told)]}."),
            QuestionAnswer(
                "count_moving", "How many objects are moving?", f"{NUMBERS[len(self.moving)]}."
            ),
        ]
        for thing in self.told:
            for frame, when in ((0, "first"), (FRAMES - 1, "last")):
                if answer := self._place(thing, frame):
                    question = f"Where is the {thing.shape} at {when}?"
                    found.append(QuestionAnswer("where", question, answer))
            question = f"Which way does the {thing.shape} move?"
            found.append(QuestionAnswer("direction", question, _way(thing.motions)))
            question = f"What colour is the {thing.shape}?"
            found.append(QuestionAnswer("colour", question, f"{thing.colour.capitalize()}."))
        return found

    def render(self, phases: NDArray[np.float64]) -> NDArray[np.float32]:
        """Noise-free RGB in 0..255 (beyond, where the light flickers). Returns [T, 64, 64, 3]."""
        moved = self.around.camera.moved(phases)
        xs = np.arange(SIDE, dtype=np.float32)[None, None, :] + np.float32(0.5)
        ys = np.arange(SIDE, dtype=np.float32)[None, :, None] + np.float32(0.5)
        frames = self._ground(xs[0], ys[0], moved)
        for thing in sorted(self.things, key=lambda t: -t.depth):
            at = (thing.centres(phases) - moved).astype(np.float32)
            across, down = _swept(at[:, 0], thing.radius), _swept(at[:, 1], thing.radius)
            dx, dy = xs[..., across] - at[:, :1, None], ys[:, down] - at[:, 1:, None]
            cover = coverage(thing.shape, dx, dy, thing.radius)[..., None]
            part = frames[:, down, across]
            part += cover * (np.array(COLOURS[thing.colour], np.float32) - part)
        if self.around.fence is not None:
            shift = moved.astype(np.float32)[:, :, None, None]
            cover = self.around.fence.coverage(xs + shift[:, 0], ys + shift[:, 1])[..., None]
            frames += cover * (np.float32(self.around.fence.grey) - frames)
        if self.around.light.share:
            frames *= self.around.light.gain(phases)[:, None, None, None]
        return frames

    def frames(self, camera: FrameCamera = SHARP) -> NDArray[np.uint8]:
        """What the frame camera delivers: 8 noisy RGB frames, the last at the clip's end. [8, 64,
        64, 3].
        """
        rng = np.random.default_rng((self.seed, 1))
        exposed = [camera.exposed(float(phase), FRAMES) for phase in frame_phases()]
        clean = self.render(np.concatenate(exposed))
        if camera.shutter:
            clean = clean.reshape(FRAMES, -1, *clean.shape[1:]).mean(1)
        if camera.exposure != 1:
            clean = clean * np.float32(camera.exposure)
        noisy = clean + rng.normal(0, READ_NOISE, clean.shape).astype(np.float32)
        taken = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        return np.asarray(taken[camera.shown(FRAMES)])

    def events(self, before: Scene | None = None) -> EventPacket:
        """What an event camera sees meanwhile, by the pixel model; times from 0 to CLIP_US.

        `before` is the scene whose end the camera saw last.
        """
        phases = np.linspace(0, 1, SUBFRAMES)
        frames = self.render(phases)
        if before is not None:
            frames[0] = before.render(np.ones(1))[0]
        times = np.rint(phases * CLIP_US).astype(np.int64)
        return simulate(frames, times, PRESETS[self.around.pixels], self.seed)

    def _ground(
        self, xx: NDArray[np.float32], yy: NDArray[np.float32], moved: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        if self.around.ground is None:
            sx, sy = self.shading
            shade = self.background + sx * (xx / SIDE - 0.5) + sy * (yy / SIDE - 0.5)
            return np.repeat(np.repeat(shade[None, :, :, None], len(moved), 0), 3, 3)
        if self.around.camera.moves:
            return self.around.ground.seen(moved)
        return np.repeat(self.around.ground.seen(moved[:1]), len(moved), 0)

    def _place(self, thing: Thing, frame: int) -> str | None:
        """Where a frame shows it, or that it does not; None where that is arguable."""
        share = self.shares[self.things.index(thing), frame]
        if share >= SEEN:
            return f"{place_of(*self.centre(thing, float(frame_phases()[frame])))}."
        return "Hidden." if share < HIDDEN else None


def in_order(things: list[Thing]) -> tuple[Thing, ...]:
    """What moves first; then by shape."""
    return tuple(sorted(things, key=lambda t: (not t.moves, SHAPES.index(t.shape))))


def frame_phases() -> NDArray[np.float64]:
    """When each frame is taken: a frame closes the interval it ends, so the last is at the clip's
    end.
    """
    return np.arange(1, FRAMES + 1) / FRAMES


def _swept(centres: NDArray[np.float32], radius: float) -> slice:
    """The rows or columns that a thing touches on its way, and a few more."""
    reach = radius * 1.1 + 2
    return slice(max(0, int(centres.min() - reach)), max(0, int(centres.max() + reach) + 1))


def _way(motions: tuple[Motion, ...]) -> str:
    """Which way something moves: "It moves upwards then to the left."."""
    first, last = motions[0].direction, motions[-1].direction
    if first == last:
        return f"It moves {first}." if first else "It stays still."
    if first is None:
        return f"It stays still then moves {last}."
    return f"It moves {first} then {last or 'stops'}."


def _joined(parts: list[str]) -> str:
    if len(parts) <= 2:
        return " and ".join(parts)
    return ", ".join(parts[:-1]) + ", and " + parts[-1]


def _sentence(parts: list[str]) -> str:
    text = " while ".join(parts) if len(parts) == 2 else _joined(parts)
    return f"{text[0].upper()}{text[1:]}."


def _listing(things: tuple[Thing, ...]) -> str:
    return _sentence_case(_joined([f"a {t.name}" for t in things])) if things else "Nothing."


def _sentence_case(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
