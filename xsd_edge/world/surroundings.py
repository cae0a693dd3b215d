"""What surrounds the things of a scene: ground, fence, the camera's motion, the light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.elementary import sine_of_turns
from xsd_edge.world.spec import PLAIN, World
from xsd_edge.world.things import SIDE

Floats = NDArray[np.float32]

PERIOD = 128  # pixels; a ground goes on for ever
DARKEST, BRIGHTEST = 8.0, 62.0  # of a textured ground: every colour stands out from it
# Grounds on which motion shows whichever way it goes; along stripes nothing changes.
SHOWS_MOTION = ("checks", "clouds", "gravel")
PAN = (4.0, 10.0)  # pixels a clip
SHAKE = (0.2, 0.8)  # pixels
SHAKE_HZ = (2.0, 4.0)
# Mains flicker (100 Hz) is beyond the 32 pictures a second that the pixel model is shown.
FLICKER_HZ = (2.0, 6.0)
FLICKER = (0.15, 0.3)  # share of the light


@dataclass(frozen=True, slots=True)
class Ground:
    """A grey texture, slightly tinted; `x`, `y` is where on it the picture's corner lies."""

    kind: str
    seed: int
    x: float = 0.0
    y: float = 0.0

    def seen(self, moved: NDArray[np.float64]) -> Floats:
        """What a picture moved by [T, 2] pixels shows, RGB, bilinear. [T, SIDE, SIDE, 3]"""
        place = moved + np.array((self.x, self.y))
        whole = np.floor(place).astype(np.int64)
        share = (place - whole).astype(np.float32)
        at = (whole[:, :, None] + np.arange(SIDE + 1)) % PERIOD  # [T, 2, SIDE + 1]
        canvas, tint = _canvas(self.kind, self.seed)
        texels = canvas[at[:, 1, :, None], at[:, 0, None, :]]
        x, y = share[:, 0, None, None], share[:, 1, None, None]
        lines = texels[:, :, :-1] + x * (texels[:, :, 1:] - texels[:, :, :-1])
        grey = lines[:, :-1] + y * (lines[:, 1:] - lines[:, :-1])
        return np.asarray(grey[..., None] * tint, np.float32)


@lru_cache(maxsize=16)
def _canvas(kind: str, seed: int) -> tuple[Floats, Floats]:
    """One period of a ground [PERIOD, PERIOD], and its tint [3]."""
    rng = np.random.default_rng((seed, 11))
    tint = rng.uniform(0.85, 1.1, 3).astype(np.float32)
    low, high = rng.uniform(DARKEST, 20), rng.uniform(40, BRIGHTEST)
    ys, xs = np.mgrid[0:PERIOD, 0:PERIOD]
    if kind == "checks":
        tile = int(rng.choice((8, 16)))
        level = ((ys // tile + xs // tile) % 2).astype(np.float64)
    elif kind == "stripes":
        across, along = int(rng.integers(5, 13)), int(rng.integers(-6, 7))
        if rng.random() < 0.5:
            across, along = along, across
        level = 0.5 + 0.5 * sine_of_turns((across * xs + along * ys) / PERIOD)
    elif kind == "clouds":
        level = _stretched(_noise(rng, 16) + 0.5 * _noise(rng, 32))
    else:  # gravel
        level = _stretched(_noise(rng, 64)) > 0.5
    return np.asarray(low + (high - low) * level, np.float32), tint


def _noise(rng: np.random.Generator, cells: int) -> NDArray[np.float64]:
    """Random values on a grid, smooth between and periodic. [PERIOD, PERIOD]"""
    grid = rng.random((cells, cells))
    place = np.arange(PERIOD) * cells / PERIOD
    near = place.astype(np.int64)
    share = place - near
    share = share * share * (3 - 2 * share)
    rows = grid[near] + share[:, None] * (grid[(near + 1) % cells] - grid[near])
    columns = rows[:, (near + 1) % cells] - rows[:, near]
    return np.asarray(rows[:, near] + share * columns)


def _stretched(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.quantile(values, (0.02, 0.98))
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


class Fence(NamedTuple):
    """Equal bars in front of everything, fixed in the world."""

    upright: bool
    at: float  # middle of one bar, in the picture at the clip's start
    width: float
    gap: float  # from bar to bar, middle to middle
    grey: float

    def coverage(self, x: Floats, y: Floats) -> Floats:
        """Share of each pixel that bars cover; places as in the picture at the clip's start."""
        along = x if self.upright else y
        off = abs((along - self.at + self.gap / 2) % self.gap - self.gap / 2)
        return np.asarray(np.clip(0.5 + self.width / 2 - off, 0, 1), np.float32)


class Camera(NamedTuple):
    """How the camera moves during one clip, from where it is at the clip's start."""

    pan: tuple[float, float] = (0.0, 0.0)  # pixels over the clip
    shake: tuple[float, float] = (0.0, 0.0)  # pixels
    shake_hz: tuple[float, float] = (0.0, 0.0)

    @property
    def moves(self) -> bool:
        return self != STEADY

    def moved(self, phases: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much, at each phase. [T, 2]"""
        swing = sine_of_turns(np.array(self.shake_hz) * phases[:, None])
        return np.asarray(np.array(self.pan) * phases[:, None] + np.array(self.shake) * swing)


STEADY = Camera()


class Light(NamedTuple):
    """Flicker: the light is 1 + share * sin(2 pi (hz * phase + start))."""

    share: float = 0.0
    hz: float = 0.0
    start: float = 0.0

    def gain(self, phases: NDArray[np.float64]) -> Floats:
        """[T]"""
        swing = sine_of_turns(self.hz * phases + self.start)
        return np.asarray(1 + self.share * swing, np.float32)


DAYLIGHT = Light()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything of a clip but its things; the defaults are the plain world's."""

    ground: Ground | None = None  # None: the scene's own shading
    fence: Fence | None = None
    camera: Camera = STEADY
    light: Light = DAYLIGHT
    crossing: bool = False  # may things pass behind one another?
    pixels: str = PLAIN.pixels

    @classmethod
    def drawn(cls, seed: int, world: World) -> Surroundings:
        rng = np.random.default_rng((seed, 10))
        kind = str(rng.choice(world.grounds))
        ground = None if kind == "plain" else Ground(kind, seed)
        fence = _draw_fence(rng) if rng.random() < world.fences else None
        light = DAYLIGHT
        if rng.random() < world.flicker:
            light = Light(rng.uniform(*FLICKER), rng.uniform(*FLICKER_HZ), rng.random())
        crossing = bool(rng.random() < world.crossings)
        still = cls(ground, fence, STEADY, light, crossing, world.pixels)
        return replace(still, camera=_draw_camera(rng, ground, world))

    def later(self, world: World, rng: np.random.Generator) -> Surroundings:
        """The next clip's: all of it goes on, and the camera moves anew."""
        if self == UNDISTURBED:
            return self
        x, y = (float(v) for v in self.camera.moved(np.ones(1))[0])
        ground, fence = self.ground, self.fence
        return replace(
            self,
            ground=ground and replace(ground, x=ground.x + x, y=ground.y + y),
            fence=fence and fence._replace(at=fence.at - (x if fence.upright else y)),
            camera=_draw_camera(rng, ground, world),
            light=self.light._replace(start=self.light.start + self.light.hz),
        )


UNDISTURBED = Surroundings()


def _draw_fence(rng: np.random.Generator) -> Fence:
    gap = rng.uniform(30, 48)
    return Fence(
        bool(rng.random() < 0.5), rng.uniform(0, gap), rng.uniform(5, 14), gap, rng.uniform(75, 125)
    )


def _draw_camera(rng: np.random.Generator, ground: Ground | None, world: World) -> Camera:
    if ground is None or ground.kind not in SHOWS_MOTION or rng.random() >= world.camera:
        return STEADY
    turns, far = rng.uniform(), rng.uniform(*PAN)
    across, down = far * sine_of_turns(np.array((turns + 0.25, turns)))
    shake, hertz = rng.uniform(*SHAKE, 2), rng.uniform(*SHAKE_HZ, 2)
    return Camera(
        (float(across), float(down)),
        (float(shake[0]), float(shake[1])),
        (float(hertz[0]), float(hertz[1])),
    )
