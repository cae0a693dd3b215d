"""Fast representations equal the slow loops that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import (
    count_bins,
    event_image,
    stacked_histogram,
    time_surface,
    voxel_grid,
)


def random_events(seed: int, count: int, geometry: Geometry, t0: int, t1: int) -> EventPacket:
    rng = np.random.default_rng(seed)
    return EventPacket(
        np.sort(rng.integers(t0, t1, count)),
        rng.integers(0, geometry.width, count).astype(np.uint16),
        rng.integers(0, geometry.height, count).astype(np.uint16),
        rng.integers(0, 2, count).astype(np.uint8),
    )


def slow_count_bins(
    events: EventPacket, geometry: Geometry, t0: int, t1: int, bins: int, side: int
) -> NDArray[np.float64]:
    square = min(geometry.width, geometry.height)
    left, top = (geometry.width - square) // 2, (geometry.height - square) // 2
    counts, area = np.zeros((2 * bins, side, side)), np.zeros((side, side))
    for y, x in np.ndindex(square, square):
        area[y * side // square, x * side // square] += 1
    for t, x, y, p in zip(*(getattr(events, k).tolist() for k in "txyp"), strict=True):
        column, row = x - left, y - top
        if 0 <= column < square and 0 <= row < square:
            number = min(max((t - t0) * bins // (t1 - t0), 0), bins - 1)
            counts[p * bins + number, row * side // square, column * side // square] += 1
    return counts / np.maximum(area, 1)


def slow_event_image(events: EventPacket, geometry: Geometry) -> NDArray[np.uint8]:
    image = np.full((geometry.height, geometry.width, 3), 255, np.uint8)
    for x, y, p in zip(*(getattr(events, k).tolist() for k in "xyp"), strict=True):
        image[y, x] = (0, 0, 255) if p == 0 else (255, 0, 0)
    return image


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    side=st.integers(1, 20),
    bins=st.integers(1, 7),
    t0=st.integers(-1000, 10**12),
    span=st.integers(1, 1000),
)
def test_count_bins_equals_the_loop(
    seed: int, width: int, height: int, side: int, bins: int, t0: int, span: int
) -> None:
    geometry = Geometry(width, height)
    events = random_events(seed, 200, geometry, t0 - 20, t0 + span + 20)
    fast = count_bins(events, geometry, t0, t0 + span, bins, side)
    slow = slow_count_bins(events, geometry, t0, t0 + span, bins, side)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, slow, rtol=1e-6)


def test_count_bins_is_per_sensor_pixel() -> None:
    """One event on every pixel reads 1.0 whatever the sensor."""
    for geometry in (Geometry(64, 64), Geometry(346, 260), Geometry(640, 480)):
        y, x = np.divmod(np.arange(geometry.width * geometry.height), geometry.width)
        on = np.ones(len(x), np.uint8)
        events = EventPacket(np.full(len(x), 5), x.astype(np.uint16), y.astype(np.uint16), on)
        counts = count_bins(events, geometry, 0, 10, bins=1, side=20)
        np.testing.assert_allclose(counts[0], 0)
        np.testing.assert_allclose(counts[1], 1)


def slow_voxel_grid(events: EventPacket, geometry: Geometry, bins: int) -> NDArray[np.float32]:
    """What events give to the instant before them, and to the one behind, summed apart."""
    before, behind = np.zeros((2, bins + 1, geometry.height, geometry.width))
    first, last = int(events.t[0]), int(events.t[-1])
    for t, x, y, p in zip(*(getattr(events, k).tolist() for k in "txyp"), strict=True):
        at = (t - first) * ((bins - 1) / max(last - first, 1))
        number, sign = int(at), 2.0 * p - 1
        later = sign * (at - number)
        before[number, y, x] += sign - later
        behind[number + 1, y, x] += later
    return (before + behind)[:bins].astype(np.float32)


def slow_histogram(
    events: EventPacket, geometry: Geometry, bins: int, cut_off: int
) -> NDArray[np.uint8]:
    counts = np.zeros((2 * bins, geometry.height, geometry.width), np.uint8)
    first, last = int(events.t[0]), int(events.t[-1])
    for t, x, y, p in zip(*(getattr(events, k).tolist() for k in "txyp"), strict=True):
        number = min((t - first) * bins // max(last - first, 1), bins - 1)
        counts[p * bins + number, y, x] = min(int(counts[p * bins + number, y, x]) + 1, cut_off)
    return counts


def slow_time_surface(
    events: EventPacket, geometry: Geometry, t_us: int, tau_us: float
) -> NDArray[np.float32]:
    surface = np.zeros((2, geometry.height, geometry.width), np.float32)
    for t, x, y, p in zip(*(getattr(events, k).tolist() for k in "txyp"), strict=True):
        surface[p, y, x] = np.exp((t - t_us) / tau_us)
    return surface


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 300),
    width=st.integers(1, 12),
    height=st.integers(1, 12),
    bins=st.integers(1, 7),
    t0=st.integers(-1000, 10**12),
    span=st.integers(1, 1000),
)
def test_network_inputs_equal_their_loops_bit_for_bit(
    seed: int, count: int, width: int, height: int, bins: int, t0: int, span: int
) -> None:
    geometry = Geometry(width, height)
    events = random_events(seed, count, geometry, t0, t0 + span)
    for fast, slow in (
        (voxel_grid(events, geometry, bins), slow_voxel_grid(events, geometry, bins)),
        (stacked_histogram(events, geometry, bins, 3), slow_histogram(events, geometry, bins, 3)),
        (
            time_surface(events, geometry, t0 + span, 250.0),
            slow_time_surface(events, geometry, t0 + span, 250.0),
        ),
    ):
        assert (fast.dtype, fast.shape) == (slow.dtype, slow.shape)
        assert fast.tobytes() == slow.tobytes()


@pytest.mark.parametrize("bins", [2, 5, 15])
def test_voxel_grid_is_dsecs_before_it_normalises(bins: int) -> None:
    """DSEC's VoxelGrid.convert: each event adds value (1 - |x' - x|) (1 - |y' - y|) (1 - |t' - t|)
    to the corners around it, with time scaled to bins - 1 and whole x and y.
    """
    geometry = Geometry(17, 11)
    events = random_events(3, 4000, geometry, 0, 50_000)
    grid = np.zeros((bins, geometry.height, geometry.width))
    t = (bins - 1) * (events.t - events.t[0]) / (events.t[-1] - events.t[0])
    value, first = 2.0 * events.p - 1, t.astype(int)
    for corner in (first, first + 1):
        inside = corner < bins
        weight = (value * (1 - np.abs(corner - t)))[inside]
        np.add.at(grid, (corner[inside], events.y[inside], events.x[inside]), weight)
    np.testing.assert_allclose(voxel_grid(events, geometry, bins), grid, atol=1e-5)


def test_hot_pixels_do_not_wrap() -> None:
    ones = np.ones(700, np.uint16)
    events = EventPacket(np.zeros(700, np.int64), ones, ones, ones.astype(np.uint8))
    assert stacked_histogram(events, Geometry(3, 2), 4).max() == 255


def test_no_events() -> None:
    none = EventPacket.empty()
    assert not voxel_grid(none, Geometry(8, 6), 5).any()
    assert not stacked_histogram(none, Geometry(8, 6), 5).any()
    assert not time_surface(none, Geometry(8, 6), 0, 1e4).any()
    assert not count_bins(EventPacket.empty(), Geometry(8, 6), 0, 10, 5, 4).any()
    assert (event_image(EventPacket.empty(), Geometry(8, 6)) == 255).all()


@pytest.mark.parametrize("count", [1, 100, 5000])
def test_event_image_equals_the_loop(count: int) -> None:
    """Many events a pixel: the last one must win, as in the loop."""
    geometry = Geometry(13, 7)
    events = random_events(count, count, geometry, 0, 100)
    image = event_image(events, geometry)
    assert image.dtype == np.uint8
    assert np.array_equal(image, slow_event_image(events, geometry))
