"""How a cost grows: a straight line through measured points, and how they bend away from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Line(NamedTuple):
    """y = intercept + slope x by least squares."""

    slope: float
    intercept: float
    r2: float  # share of the variance that the line explains
    bend: float  # the quadratic term of a parabola at the largest x, as a share of its height there

    @property
    def linear(self) -> bool:
        """Is the rest small enough to call the growth linear?"""
        return self.r2 >= 0.99 and abs(self.bend) <= 0.1


def line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit at least three points of which three differ in x."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    slope, intercept = np.polyfit(xs, ys, 1)
    rest = ys - (intercept + slope * xs)
    spread = float(((ys - ys.mean()) ** 2).sum())
    r2 = 1.0 - float((rest**2).sum()) / spread if spread else 1.0
    parabola = np.polyfit(xs, ys, 2)
    top = float(xs.max())
    height = float(np.polyval(parabola, top))
    bend = float(parabola[0]) * top**2 / height if height else 0.0
    return Line(float(slope), float(intercept), r2, bend)
