"""Synthetic clips by seed, torch-free: moving shapes or noise, and the events that they cause."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import ClipInfo
from xsd_edge.certify.clip import Clip
from xsd_edge.events.packet import Geometry
from xsd_edge.events.simulator import PRESETS, simulate

STEPS = 5  # pictures from one frame to the next, for the event simulator
NOISE_EVERY = 4  # each so many-th clip has nothing in it that a model could have learnt


def synthetic(info: ClipInfo, seed: int, number: int) -> Clip:
    """The same clip for the same seed and number."""
    rng = np.random.default_rng((seed, number))
    phases = np.linspace(0.0, 1.0, info.frames * STEPS + 1)
    noise = number % NOISE_EVERY == NOISE_EVERY - 1
    pictures = (_noise if noise else _shapes)(rng, info.event_side, phases)
    t_us = np.rint(phases * info.duration_us).astype(np.int64)
    events = simulate(pictures, t_us, PRESETS["default"], seed + number)
    return Clip(
        f"synthetic {seed}.{number} ({'noise' if noise else 'shapes'})",
        pictures[STEPS::STEPS],
        events,
        Geometry(info.event_side, info.event_side),
        0,
        info.duration_us,
    )


def _shapes(rng: np.random.Generator, side: int, phases: NDArray[np.float64]) -> NDArray[np.uint8]:
    """One to three discs or squares on a shaded background, some of them moving.

    Returns RGB [T, side, side, 3].
    """
    y, x = np.mgrid[:side, :side] / side
    shade = rng.uniform(10, 60) + rng.uniform(-20, 20) * x + rng.uniform(-20, 20) * y
    pictures = np.repeat(shade[None, :, :, None], len(phases), 0).repeat(3, 3)
    for _ in range(rng.integers(1, 4)):
        colour, radius = rng.uniform(60, 250, 3), rng.uniform(0.08, 0.2)
        start, moved = rng.uniform(0.2, 0.8, 2), rng.uniform(-0.6, 0.6, 2) * (rng.random() < 0.7)
        centre = start + phases[:, None] * moved  # [T, 2]
        dx, dy = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
        round_ = rng.random() < 0.5
        reach = np.hypot(dx, dy) if round_ else np.maximum(abs(dx), abs(dy))
        pictures[reach < radius] = colour
    return np.asarray(np.clip(pictures, 0, 255), np.uint8)


def _noise(rng: np.random.Generator, side: int, phases: NDArray[np.float64]) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (len(phases), side, side, 3), np.uint8)
