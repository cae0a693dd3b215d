"""Representations: event packets as arrays that a network or a person can look at."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket, Geometry

PALETTE: Final = np.array([(0, 0, 255), (255, 0, 0), (255, 255, 255)], np.uint8)  # OFF, ON, none
NO_EVENT: Final = 2


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

    # bin(t) = (t - t0) * bins // (t1 - t0), turned round: the first t of each bin.
    first = t0_us - (np.arange(1, bins) * (t0_us - t1_us) // bins)
    counts = np.empty((2, bins, side * side), np.float32)
    for number, part in enumerate(np.split(index, np.searchsorted(events.t, first))):
        counts[:, number] = np.bincount(part, minlength=planes)[:planes].reshape(2, -1)

    pixels = np.maximum(np.bincount(cell_of, minlength=side), 1)  # 0 where side > square
    area = np.outer(pixels, pixels).astype(np.float32)
    return counts.reshape(2 * bins, side, side) / area


def latest_polarity(events: EventPacket, geometry: Geometry) -> NDArray[np.uint8]:
    """Polarity of each pixel's last event: 0 OFF, 1 ON, NO_EVENT where there was none. [H, W]"""
    pixel = events.y.astype(np.intp) * geometry.width + events.x
    # Not image[pixel] = p: NumPy promises no order for repeated indices.
    latest = np.full(geometry.width * geometry.height, -1, np.int64)
    np.maximum.at(latest, pixel, np.arange(len(events)) * 2 + events.p)
    polarity = np.where(latest < 0, NO_EVENT, latest & 1).astype(np.uint8)
    return polarity.reshape(geometry.height, geometry.width)


def event_image(events: EventPacket, geometry: Geometry) -> NDArray[np.uint8]:
    """Draw events as EventGPT does: white, ON red, OFF blue, the last event of a pixel wins.

    Source: EventGPT (Liu et al., CVPR 2025), `generate_event_image`, on the sensor's full size.

    Returns RGB uint8 [H, W, 3].
    """
    return PALETTE.take(latest_polarity(events, geometry), axis=0)


def _padded(cells: NDArray[np.intp], length: int, outside: int) -> NDArray[np.intp]:
    """Cell of each pixel along one axis of the sensor, `outside` left and right of its square."""
    margin = length - len(cells)
    return np.pad(cells, (margin // 2, margin - margin // 2), constant_values=outside)
