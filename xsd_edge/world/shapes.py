"""Shapes of the paired world, drawn from their signed distances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def coverage(shape: str, dx: Floats, dy: Floats, radius: float) -> Floats:
    """Share of each pixel that a shape covers, one pixel of anti-aliasing.

    `dx`, `dy` are the pixels' places seen from the centre and may be any two arrays that broadcast.
    """
    distance: NDArray[np.floating[Any]]
    if shape == "circle":
        distance = _length(dx, dy) - radius
    elif shape == "square":
        distance = np.maximum(abs(dx), abs(dy)) - radius * 0.88
    elif shape == "triangle":
        distance = np.maximum(abs(dx) * 0.866 + dy * 0.5, -dy) - radius * 0.6
    elif shape == "cross":  # the union of two bars
        bars = (np.maximum(abs(dx) - a, abs(dy) - b) for a, b in _bar_extents(radius))
        distance = np.minimum(*bars)
    elif shape == "ring":
        distance = abs(_length(dx, dy) - radius * 0.72) - radius * 0.28
    elif shape == "diamond":
        distance = (abs(dx) + abs(dy)) * 0.7071 - radius * 0.7071
    elif shape == "crescent":  # a circle without another
        bite = _length(dx - radius * 0.55, dy) - radius * 0.75
        distance = np.maximum(_length(dx, dy) - radius, -bite)
    else:  # hourglass: two triangles, tip to tip
        sides = (abs(dx) - abs(dy) * 0.85 - radius * 0.1) * 0.76
        distance = np.maximum(abs(dy) - radius * 0.88, sides)
    return np.asarray(np.clip(0.5 - distance, 0, 1), np.float32)


def _length(dx: Floats, dy: Floats) -> Floats:
    """Not np.hypot, whose last bit depends on the machine; in float64 the squares are exact."""
    squares = np.square(dx, dtype=np.float64) + np.square(dy, dtype=np.float64)
    return np.asarray(np.sqrt(squares), np.float32)


def _bar_extents(radius: float) -> tuple[tuple[float, float], tuple[float, float]]:
    return (radius, radius * 0.33), (radius * 0.33, radius)
