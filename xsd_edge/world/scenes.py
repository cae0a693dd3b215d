"""The paired world: one scene of coloured shapes, seen by a frame camera and by an event camera.

A scene is drawn from a seed alone. Frames carry shape, colour, size and place; events (made from
the same scene by `xsd_edge.events.simulator`) carry shape and motion, but neither colour nor what
stands still. Seeds below `HELD_OUT` are for training, the others are never trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket
from xsd_edge.events.simulator import PRESETS, simulate

SIDE = 64  # pixels
FRAMES = 8
CLIP_US = 1_000_000
SUBFRAMES = 33  # rendered for the pixel model: the fastest thing moves one pixel between two
HELD_OUT = 1_000_000_000

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 200, 60),
    "blue": (50, 80, 230),
    "yellow": (230, 220, 50),
    "white": (240, 240, 240),
}
SIZES = {"small": 6.0, "large": 10.0}  # half extent in pixels
DIRECTIONS = {
    "to the left": (-1.0, 0.0),
    "to the right": (1.0, 0.0),
    "upwards": (0.0, -1.0),
    "downwards": (0.0, 1.0),
}
SPEEDS = {"slowly": 15.0, "quickly": 34.0}  # pixels a clip
NUMBERS = ("None", "One", "Two", "Three")
# Places are named as on a map, "C three": a letter for the row, from the top, and a column.
ROWS = ("A", "B", "C", "D", "E", "F", "G", "H")
COLUMNS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
SQUARE = SIDE / len(ROWS)

DESCRIBE = "Describe the scene."


class QuestionAnswer(NamedTuple):
    """One supervised exchange; `kind` groups questions for the quality report."""

    kind: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: what it is, where its centre is at the clip's start, how it moves (`direction`
    None: still).
    """

    shape: str
    colour: str
    size: str
    x: float
    y: float
    direction: str | None = None
    speed: str | None = None

    @property
    def velocity(self) -> tuple[float, float]:
        """Displacement over the whole clip, in pixels."""
        if self.direction is None or self.speed is None:
            return 0.0, 0.0
        dx, dy = DIRECTIONS[self.direction]
        return dx * SPEEDS[self.speed], dy * SPEEDS[self.speed]

    def centre(self, phase: float) -> tuple[float, float]:
        """Where the centre is at `phase` (0 = clip start, 1 = clip end)."""
        vx, vy = self.velocity
        return self.x + vx * phase, self.y + vy * phase

    def square(self, phase: float) -> tuple[int, int]:
        """Row and column of the map square that the centre is in."""
        x, y = self.centre(phase)
        return int(y // SQUARE), int(x // SQUARE)

    def place(self, phase: float) -> str:
        """The name of that square."""
        row, column = self.square(phase)
        return f"{ROWS[row]} {COLUMNS[column]}"

    @property
    def name(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"

    @property
    def motion(self) -> str:
        return f"moves {self.speed} {self.direction}" if self.direction else "stays still"


@dataclass(frozen=True, slots=True)
class Scene:
    """Up to three things of different shapes on a shaded background."""

    seed: int
    things: tuple[Thing, ...]
    background: float
    shading: tuple[float, float]

    @classmethod
    def from_seed(cls, seed: int) -> Scene:
        rng = np.random.default_rng(seed)
        count = int(rng.choice((1, 2, 3), p=(0.3, 0.4, 0.3)))
        things: list[Thing] = []
        shapes = [SHAPES[i] for i in rng.permutation(len(SHAPES))]
        while len(things) < count:
            thing = draw_thing(rng, shapes[len(things)])
            if all(apart(thing, other) for other in things):
                things.append(thing)
            elif rng.random() < 0.02:  # a crowded scene: keep what fits
                break
        things.sort(key=lambda t: (t.direction is None, SHAPES.index(t.shape)))
        background = float(rng.uniform(10, 60))
        shading = (float(rng.uniform(-8, 8)), float(rng.uniform(-8, 8)))
        return cls(seed, tuple(things), background, shading)

    @property
    def moving(self) -> tuple[Thing, ...]:
        return tuple(t for t in self.things if t.direction is not None)

    @property
    def still(self) -> tuple[Thing, ...]:
        return tuple(t for t in self.things if t.direction is None)

    def caption(self) -> str:
        return _sentence([f"a {t.name} {t.motion}" for t in self.things])

    def exchanges(self) -> list[QuestionAnswer]:
        """Every question this scene answers, with its answer; the caption first."""
        found = [
            QuestionAnswer("describe", DESCRIBE, self.caption()),
            QuestionAnswer("moves", "What is moving?", _listing(self.moving)),
            QuestionAnswer("still", "What stays still?", _listing(self.still)),
            QuestionAnswer("count", "How many objects are there?", f"{NUMBERS[len(self.things)]}."),
            QuestionAnswer(
                "count_moving", "How many objects are moving?", f"{NUMBERS[len(self.moving)]}."
            ),
        ]
        for thing in self.things:
            way = f"It moves {thing.direction}." if thing.direction else "It stays still."
            for kind, phase in (("first", frame_phases()[0]), ("last", frame_phases()[-1])):
                question = f"Where is the {thing.shape} at {kind}?"
                found.append(QuestionAnswer("where", question, f"{thing.place(float(phase))}."))
            found.append(
                QuestionAnswer("direction", f"Which way does the {thing.shape} move?", way)
            )
            found.append(
                QuestionAnswer(
                    "colour",
                    f"What colour is the {thing.shape}?",
                    f"{thing.colour.capitalize()}.",
                )
            )
        return found

    def render(self, phases: NDArray[np.float64]) -> NDArray[np.float32]:
        """Noise-free RGB in 0..255 at the given phases. Returns [T, 64, 64, 3]."""
        yy, xx = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + 0.5
        sx, sy = self.shading
        ground = self.background + sx * (xx / SIDE - 0.5) + sy * (yy / SIDE - 0.5)
        frames = np.repeat(np.repeat(ground[None, :, :, None], len(phases), 0), 3, 3)
        for thing in self.things:
            colour = np.array(COLOURS[thing.colour], np.float32)
            for i, phase in enumerate(phases):
                cx, cy = thing.centre(float(phase))
                cover = _coverage(thing.shape, xx - cx, yy - cy, SIZES[thing.size])[..., None]
                frames[i] += cover * (colour - frames[i])
        return np.asarray(frames, np.float32)

    def frames(self) -> NDArray[np.uint8]:
        """What the frame camera delivers: 8 noisy RGB frames, the last at the clip's end. [8, 64,
        64, 3].
        """
        rng = np.random.default_rng((self.seed, 1))
        clean = self.render(frame_phases())
        noisy = clean + rng.normal(0, 4, clean.shape).astype(np.float32)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    def events(self) -> EventPacket:
        """What an event camera sees meanwhile, by the pixel model; times from 0 to CLIP_US."""
        phases = np.linspace(0, 1, SUBFRAMES)
        times = np.rint(phases * CLIP_US).astype(np.int64)
        return simulate(self.render(phases), times, PRESETS["default"], self.seed)


def frame_phases() -> NDArray[np.float64]:
    """When each frame is taken: a frame closes the interval it ends, so the last is at the clip's
    end.
    """
    return np.arange(1, FRAMES + 1) / FRAMES


def draw_thing(rng: np.random.Generator, shape: str) -> Thing:
    colour = str(rng.choice(list(COLOURS)))
    size = str(rng.choice(list(SIZES)))
    moves = rng.random() < 0.65
    direction = str(rng.choice(list(DIRECTIONS))) if moves else None
    speed = str(rng.choice(list(SPEEDS))) if moves else None
    at_origin = Thing(shape, colour, size, 0.0, 0.0, direction, speed)
    radius, velocity = SIZES[size], np.array(at_origin.velocity)
    low = radius + 1 - np.minimum(velocity, 0)
    high = SIDE - 1 - radius - np.maximum(velocity, 0)
    x, y = low + rng.random(2) * (high - low)
    return Thing(shape, colour, size, float(x), float(y), direction, speed)


def apart(a: Thing, b: Thing) -> bool:
    """Do two things keep clear of each other all through the clip?"""
    room = SIZES[a.size] + SIZES[b.size] + 1
    return all(
        np.hypot(*np.subtract(a.centre(phase), b.centre(phase))) > room
        for phase in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def _coverage(
    shape: str, dx: NDArray[np.float32], dy: NDArray[np.float32], radius: float
) -> NDArray[np.float32]:
    """Share of each pixel that a shape covers, from its signed distance (one pixel of anti-
    aliasing).
    """
    if shape == "circle":
        distance = np.hypot(dx, dy) - radius
    elif shape == "square":
        distance = np.maximum(abs(dx), abs(dy)) - radius * 0.88
    elif shape == "triangle":
        distance = np.maximum(abs(dx) * 0.866 + dy * 0.5, -dy) - radius * 0.6
    else:  # cross: the union of two bars
        bars = (np.maximum(abs(dx) - a, abs(dy) - b) for a, b in _bar_extents(radius))
        distance = np.minimum(*bars)
    return np.asarray(np.clip(0.5 - distance, 0, 1), np.float32)


def _bar_extents(radius: float) -> tuple[tuple[float, float], tuple[float, float]]:
    return (radius, radius * 0.33), (radius * 0.33, radius)


def _joined(parts: list[str]) -> str:
    if len(parts) <= 2:
        return " and ".join(parts)
    return ", ".join(parts[:-1]) + ", and " + parts[-1]


def _sentence(parts: list[str]) -> str:
    text = " while ".join(parts) if len(parts) == 2 else _joined(parts)
    return f"{text[0].upper()}{text[1:]}."


def _listing(things: tuple[Thing, ...]) -> str:
    if not things:
        return "Nothing."
    return _sentence_case(_joined([f"a {t.name}" for t in things]))


def _sentence_case(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
