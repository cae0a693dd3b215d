"""Representations: event packets as arrays that a network or a person can look at."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket, Geometry

PALETTE: Final = np.array([(0, 0, 255), (255, 0, 0), (255, 255, 255)], np.uint8)  # OFF, ON, none
NO_EVENT: Final = 2
NEVER_US: Final = -(1 << 62)  # so long ago that its exponential is 0


def count_bins(
    events: EventPacket, geometry: Geometry, t0_us: int, t1_us: int, bins: int, side: int
) -> NDArray[np.float32]:
    """Count events in `bins` equal spans of [t0_us, t1_us): OFF bins first, then ON bins.

    The sensor's centre square is laid on side x side cells, and each cell divided by the sensor
    pixels in it: the unit is events per sensor pixel, so sensors of different resolution agree.
    Events before t0_us fall into the first bin, events after t1_us into the last.

    Layout: the stacked histogram of Gehrig and Scaramuzza, "Recurrent Vision Transformers", CVPR
    2023.

    Returns float32 [2 * bins, side, side].
    """
    square = min(geometry.width, geometry.height)
    cell_of = np.arange(square) * side // square
    planes = 2 * side * side  # any index from here on lies outside the square
    columns = _padded(cell_of, geometry.width, planes)
    rows = _padded(cell_of * side, geometry.height, planes)
    index = rows.take(events.y) + columns.take(events.x)
    index += events.p.astype(np.intp) * (side * side)

    counts = np.empty((2, bins, side * side), np.float32)
    for number, part in enumerate(_by_bin(index, events, t0_us, t1_us, bins)):
        counts[:, number] = np.bincount(part, minlength=planes)[:planes].reshape(2, -1)

    pixels = np.maximum(np.bincount(cell_of, minlength=side), 1)  # 0 where side > square
    area = np.outer(pixels, pixels).astype(np.float32)
    return counts.reshape(2 * bins, side, side) / area


def voxel_grid(events: EventPacket, geometry: Geometry, bins: int) -> NDArray[np.float32]:
    """Signed events in `bins` instants from the first event to the last, each shared between the
    two instants about it in proportion to its nearness.

    V(b) = sum of p * max(0, 1 - |b - t*|), t* = (bins - 1) (t - t_first) / (t_last - t_first), p
    +1 or -1: Zhu et al., "Unsupervised Event-Based Learning of Optical Flow, Depth, and Egomotion",
    CVPR 2019, equations 1 and 2, at whole pixels and not normalised, as DSEC has it. (tonic and
    evlib scale to `bins` instead and lose what spills over.)

    Returns float32 [bins, H, W].
    """
    pixels = geometry.width * geometry.height
    grid = np.zeros((bins + 1, pixels))
    if len(events):
        pixel = _pixel(events, geometry)
        at = (events.t - events.t[0]) * ((bins - 1) / max(int(events.t[-1] - events.t[0]), 1))
        sign = events.p * 2.0 - 1
        edges = [0, *np.searchsorted(at, np.arange(1, bins)).tolist(), len(events)]
        for number, (lo, hi) in enumerate(pairwise(edges)):
            later = sign[lo:hi] * (at[lo:hi] - number)
            grid[number] += np.bincount(pixel[lo:hi], sign[lo:hi] - later, pixels)
            grid[number + 1] += np.bincount(pixel[lo:hi], later, pixels)
    return grid[:bins].astype(np.float32).reshape(bins, geometry.height, geometry.width)


def stacked_histogram(
    events: EventPacket, geometry: Geometry, bins: int, cut_off: int = 255
) -> NDArray[np.uint8]:
    """Count events in `bins` equal spans from the first event to the last: OFF bins, then ON bins.

    bin = floor(bins (t - t_first) / (t_last - t_first)), the last event's in the last bin; counts
    above `cut_off` are cut: Gehrig and Scaramuzza, "Recurrent Vision Transformers", CVPR 2023,
    whose models have 10 bins and a cut-off of 10.

    Returns uint8 [2 * bins, H, W].
    """
    pixels = geometry.width * geometry.height
    counts = np.zeros((2, bins, pixels), np.uint8)
    if len(events):
        first, last = int(events.t[0]), int(events.t[-1])
        parts = _by_bin(_cell(events, geometry), events, first, max(last, first + 1), bins)
        for number, part in enumerate(parts):
            found = np.bincount(part, minlength=2 * pixels)
            counts[:, number] = np.minimum(found, cut_off, out=found).reshape(2, -1)
    return counts.reshape(2 * bins, geometry.height, geometry.width)


def time_surface(
    events: EventPacket, geometry: Geometry, t_us: int, tau_us: float
) -> NDArray[np.float32]:
    """exp(-(t_us - t) / tau_us) of each pixel's last event, 0 where there was none: OFF, then ON.

    Lagorce et al., "HOTS: A Hierarchy of Event-Based Time-Surfaces", PAMI 2017, equation 2. No
    event may be later than t_us.

    Returns float32 [2, H, W].
    """
    pixels = geometry.width * geometry.height
    last = np.full(2 * pixels, NEVER_US)
    np.maximum.at(last, _cell(events, geometry), events.t)
    surface = np.exp((last - t_us) / tau_us)
    return surface.astype(np.float32).reshape(2, geometry.height, geometry.width)


def latest_polarity(events: EventPacket, geometry: Geometry) -> NDArray[np.uint8]:
    """Polarity of each pixel's last event: 0 OFF, 1 ON, NO_EVENT where there was none. [H, W]"""
    # Not image[pixel] = p: NumPy promises no order for repeated indices.
    latest = np.full(geometry.width * geometry.height, -1, np.int64)
    np.maximum.at(latest, _pixel(events, geometry), np.arange(len(events)) * 2 + events.p)
    polarity = np.where(latest < 0, NO_EVENT, latest & 1).astype(np.uint8)
    return polarity.reshape(geometry.height, geometry.width)


def event_image(events: EventPacket, geometry: Geometry) -> NDArray[np.uint8]:
    """Draw events as EventGPT does: white, ON red, OFF blue, the last event of a pixel wins.

    Source: EventGPT (Liu et al., CVPR 2025), `generate_event_image`, on the sensor's full size.

    Returns RGB uint8 [H, W, 3].
    """
    return PALETTE.take(latest_polarity(events, geometry), axis=0)


def _pixel(events: EventPacket, geometry: Geometry) -> NDArray[np.intp]:
    """Flat index of each event's pixel."""
    pixel = events.y.astype(np.intp)
    pixel *= geometry.width
    pixel += events.x
    return pixel


def _cell(events: EventPacket, geometry: Geometry) -> NDArray[np.intp]:
    """Flat index of each event's pixel in two planes, OFF then ON."""
    cell = _pixel(events, geometry)
    cell += events.p.astype(np.intp) * (geometry.width * geometry.height)
    return cell


def _by_bin(
    values: NDArray[np.intp], events: EventPacket, t0_us: int, t1_us: int, bins: int
) -> list[NDArray[np.intp]]:
    """The events' `values` split into `bins` equal spans of [t0_us, t1_us)."""
    # bin(t) = (t - t0) * bins // (t1 - t0), turned round: the first t of each bin.
    first = t0_us - (np.arange(1, bins) * (t0_us - t1_us) // bins)
    return np.split(values, np.searchsorted(events.t, first))


def _padded(cells: NDArray[np.intp], length: int, outside: int) -> NDArray[np.intp]:
    """Cell of each pixel along one axis of the sensor, `outside` left and right of its square."""
    margin = length - len(cells)
    return np.pad(cells, (margin // 2, margin - margin // 2), constant_values=outside)
