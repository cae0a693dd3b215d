"""Things of the paired world: what they are called, how they move, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 64  # pixels of both cameras
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
# Places are named as on a map, "C three": a letter for the row, from the top, and a column.
ROWS = ("A", "B", "C", "D", "E", "F", "G", "H")
COLUMNS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
SQUARE = SIDE / len(ROWS)

TURNS_BETWEEN = (0.4, 0.6)  # phases; three frames before, three after
STOPS = 0.35  # of the turns of what moves


class Motion(NamedTuple):
    """One steady motion; both None: none."""

    direction: str | None = None
    speed: str | None = None

    @property
    def velocity(self) -> tuple[float, float]:
        """Displacement over a whole clip, in pixels."""
        if self.direction is None or self.speed is None:
            return 0.0, 0.0
        dx, dy = DIRECTIONS[self.direction]
        return dx * SPEEDS[self.speed], dy * SPEEDS[self.speed]

    @property
    def way(self) -> str:
        return f"{self.speed} {self.direction}"


def said_motion(motions: tuple[Motion, ...]) -> str:
    """What a caption says of one motion, or two: "stays still then moves quickly downwards"."""
    first, then = motions[0], motions[-1]
    if len(motions) == 1:
        return f"moves {first.way}" if first.direction else "stays still"
    if first.direction is None:
        return f"stays still then moves {then.way}"
    return f"moves {first.way} then {then.way if then.direction else 'stops'}"


class Turn(NamedTuple):
    """How a thing goes on from `phase` on."""

    phase: float
    motion: Motion


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: what it is, where its centre is at the clip's start, how it moves (`direction`
    None: still). Places and motions are the world's, which is the picture where the camera is
    still.
    """

    shape: str
    colour: str
    size: str
    x: float
    y: float
    direction: str | None = None
    speed: str | None = None
    turn: Turn | None = None
    depth: int = 0  # a thing of less depth is in front

    @property
    def radius(self) -> float:
        return SIZES[self.size]

    @property
    def motions(self) -> tuple[Motion, ...]:
        """One, or two where it turns."""
        first = Motion(self.direction, self.speed)
        return (first, self.turn.motion) if self.turn else (first,)

    @property
    def moves(self) -> bool:
        return any(motion.direction is not None for motion in self.motions)

    def motion_at(self, phase: float) -> tuple[Motion, float]:
        """How it moves then, and since which phase."""
        if self.turn and phase > self.turn.phase:
            return self.turn.motion, self.turn.phase
        return self.motions[0], 0.0

    def centres(self, phases: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the centre is at each phase (0 = clip start, 1 = clip end). [T, 2] x and y"""
        start = np.array((self.x, self.y))
        first = np.array(self.motions[0].velocity)
        if self.turn is None:
            return np.asarray(start + first * phases[:, None])
        turned = self.turn.phase
        then = np.array(self.turn.motion.velocity) * np.maximum(phases - turned, 0)[:, None]
        return np.asarray(start + first * np.minimum(phases, turned)[:, None] + then)

    def centre(self, phase: float) -> tuple[float, float]:
        """Where the centre is at `phase`."""
        x, y = self.centres(np.array([phase]))[0]
        return float(x), float(y)

    @property
    def name(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"

    @property
    def motion(self) -> str:
        return said_motion(self.motions)

    def carried_on(self, x: float, y: float) -> Thing:
        """The same in the next clip, from that place on, as it moved last."""
        direction, speed = self.motions[-1]
        return replace(self, x=x, y=y, direction=direction, speed=speed, turn=None)


def square_of(x: float, y: float) -> tuple[int, int]:
    """Row and column of the map square at a place in the picture."""
    return int(y // SQUARE), int(x // SQUARE)


def place_of(x: float, y: float) -> str:
    """The name of that square."""
    row, column = square_of(x, y)
    return f"{ROWS[row]} {COLUMNS[column]}"


def draw_thing(rng: np.random.Generator, shape: str) -> Thing:
    """A thing whose motion keeps it in a picture that does not move."""
    colour = str(rng.choice(list(COLOURS)))
    size = str(rng.choice(list(SIZES)))
    moves = rng.random() < 0.65
    motion = draw_motion(rng) if moves else Motion()
    radius, velocity = SIZES[size], np.array(motion.velocity)
    low = radius + 1 - np.minimum(velocity, 0)
    high = SIDE - 1 - radius - np.maximum(velocity, 0)
    x, y = low + rng.random(2) * (high - low)
    return Thing(shape, colour, size, float(x), float(y), *motion)


def draw_motion(rng: np.random.Generator) -> Motion:
    return Motion(str(rng.choice(list(DIRECTIONS))), str(rng.choice(list(SPEEDS))))


def turned(thing: Thing, chance: float, rng: np.random.Generator) -> Thing:
    """Perhaps the thing with another motion from somewhere in the clip's middle on."""
    if not chance or rng.random() >= chance:
        return thing
    before, then = thing.motions[0], draw_motion(rng)
    while then == before:
        then = draw_motion(rng)
    if before.direction is not None and rng.random() < STOPS:
        then = Motion()
    return replace(thing, turn=Turn(float(rng.uniform(*TURNS_BETWEEN)), then))


def apart(a: Thing, b: Thing) -> bool:
    """Do two things keep clear of each other all through the clip?"""
    room = a.radius + b.radius + 1
    gaps = a.centres(_CHECKED) - b.centres(_CHECKED)
    return bool((np.sqrt(gaps[:, 0] ** 2 + gaps[:, 1] ** 2) > room).all())


_CHECKED = np.linspace(0, 1, 5)
