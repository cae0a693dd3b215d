"""How much later events tell of a moment than frames do: found by comparing both.

The frames' times are shifted until what changes from frame to frame goes best with the events in
between. By activity: the mean change of the whole picture against the rate of events; any two
cameras will do, but it takes a dozen frames. By cells, for less than that: a pixel's signed events
between two frames add up to its change of log-brightness (Gallego et al. 2020, arXiv 1904.08405,
section 2.4); only where both look through one lens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.simulator import LINEAR_UP_TO, luma_of
from xsd_edge.video.decode import Timed

REACH_US: Final = 150_000  # offsets up to this are looked for
COARSE_US: Final = 5_000
FINE_US: Final = 1_000
CELLS_ACROSS: Final = 80
SURE_BY_CELLS: Final = 0.3  # correlation from which an offset is believed
SURE_BY_ACTIVITY: Final = 0.7
ACTIVITY_FRAMES: Final = 12  # fewer correlate with anything

Floats = NDArray[np.float64]


class Offset(NamedTuple):
    """Events' time of a moment less the frames' time of it, and how well both agree then."""

    us: int
    correlation: float
    by: str  # "activity" or "cells"


def estimate_offset(
    events: EventPacket, geometry: Geometry, frames: Iterable[Timed], reach_us: int = REACH_US
) -> Offset:
    """The offset of frames whose times are roughly on the events' clock.

    Raises:
        SourceError: nothing moved, or what moved is not the same for both cameras.
    """
    seen = _Intervals.of(events, geometry, frames)
    by_activity = seen.best(reach_us, signed=False)
    if seen.count >= ACTIVITY_FRAMES and by_activity.correlation >= SURE_BY_ACTIVITY:
        return by_activity
    by_cells = seen.best(reach_us, signed=True)
    if by_cells.correlation >= SURE_BY_CELLS:
        return by_cells
    raise SourceError(
        f"cannot tell the clocks' offset from {seen.count + 1} frames (correlation "
        f"{by_cells.correlation:.2f} by cells, {by_activity.correlation:.2f} by activity); let "
        "something move before both cameras, or give --offset MS"
    )


class _Intervals:
    """Times of frames, what changed between each two, and the events' cells."""

    def __init__(
        self, events: EventPacket, cell: NDArray[np.intp], t_us: NDArray[np.int64], change: Floats
    ) -> None:
        self._t, self._cell = events.t, cell
        self._sign = events.p.astype(np.float64) * 2 - 1
        self._t_us, self._change = t_us, change  # [K + 1], [K, cells]
        self.count = len(change)

    @classmethod
    def of(cls, events: EventPacket, geometry: Geometry, frames: Iterable[Timed]) -> _Intervals:
        across = min(CELLS_ACROSS, geometry.width)
        down = max(1, round(across * geometry.height / geometry.width))
        times: list[int] = []
        pictures: list[Floats] = []
        for t_us, image in frames if len(events) else ():
            if not times or t_us > times[-1]:
                times.append(t_us)
                pictures.append(_log_luma(image, down, across).ravel())
        if len(times) < 2 or not len(events):
            raise SourceError(
                f"--offset auto compares frames with events, and saw {len(times)} frames and "
                f"{len(events)} events; give --offset MS"
            )
        row = events.y.astype(np.intp) * down // geometry.height
        column = events.x.astype(np.intp) * across // geometry.width
        change = np.diff(np.stack(pictures), axis=0)
        return cls(events, row * across + column, np.array(times, np.int64), change)

    def best(self, reach_us: int, *, signed: bool) -> Offset:
        """The offset with the highest correlation: coarsely over the reach, then finely."""
        span = np.arange(-reach_us, reach_us + 1, COARSE_US)
        least = max(1, -(-max(len(self._inside(int(s))) for s in span) // 2))
        near, _ = self._highest(span, least, signed)
        span = np.arange(near - COARSE_US, near + COARSE_US + 1, FINE_US)
        found, correlation = self._highest(span, least, signed)
        return Offset(found, correlation, "cells" if signed else "activity")

    def _highest(self, span: NDArray[np.int64], least: int, signed: bool) -> tuple[int, float]:
        scores = [self._correlation(int(s), least, signed) for s in span]
        at = int(np.argmax(scores))
        return int(span[at]), scores[at]

    def _inside(self, shift: int) -> NDArray[np.intp]:
        """Intervals that the events cover wholly when the frames are shifted so."""
        starts, ends = self._t_us[:-1] + shift, self._t_us[1:] + shift
        return np.flatnonzero((starts >= self._t[0]) & (ends <= self._t[-1] + 1))

    def _correlation(self, shift: int, least: int, signed: bool) -> float:
        """Pearson's; -1 where too few intervals are left to compare, or nothing changed."""
        inside = self._inside(shift)
        if len(inside) < least:
            return -1.0
        first, last = int(inside[0]), int(inside[-1]) + 1  # they are neighbours
        borders = np.searchsorted(self._t, self._t_us[first : last + 1] + shift)
        among = slice(int(borders[0]), int(borders[-1]))
        which = np.repeat(np.arange(last - first), np.diff(borders))
        change = self._change[first:last]
        if signed:
            at = which * change.shape[1] + self._cell[among]
            sums = np.bincount(at, self._sign[among], change.size)
            return _pearson(sums.astype(np.float64), change.ravel())
        counts = np.bincount(which, minlength=last - first).astype(np.float64)
        lasted = np.diff(self._t_us[first : last + 1])
        return _pearson(counts / lasted, np.abs(change).mean(1) / lasted)


def _pearson(a: Floats, b: Floats) -> float:
    if len(a) < 2 or not a.std() or not b.std():
        return -1.0
    return float(np.corrcoef(a, b)[0, 1])


def _log_luma(image: NDArray[np.uint8], down: int, across: int) -> Floats:
    """Means of log-luma over a grid of cells. RGB [H, W, 3] -> [down, across]"""
    light = np.log(luma_of(image).astype(np.float64) + LINEAR_UP_TO)
    for axis, cells in enumerate((down, across)):
        size = light.shape[axis]
        starts = np.arange(cells) * size // cells  # a picture smaller than the grid repeats pixels
        counts = np.maximum(np.diff([*starts, size]), 1)
        shape = (-1, 1) if axis == 0 else (1, -1)
        light = np.add.reduceat(light, starts, axis) / counts.reshape(shape)
    return light
