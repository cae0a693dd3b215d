"""The pixel model against known scenes, against its set rates and against a slow per-pixel twin."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.simulator import PRESETS, PixelConfig, PixelModel, lin_log, luma_of, simulate

IDEAL = replace(PRESETS["clean"], threshold_sigma=0)


def ramp(levels: NDArray[np.float64], side: int = 4) -> NDArray[np.float32]:
    """Frames whose log level is 3.5 + levels everywhere: [T, side, side]."""
    values = np.exp(3.5 + levels)
    return np.broadcast_to(values[:, None, None], (len(levels), side, side)).astype(np.float32)


def flicker(frames: int = 12, side: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(5).uniform(0, 255, (frames, side, side)).astype(np.float32)


def times(frames: int, interval_us: int) -> NDArray[np.int64]:
    return np.arange(frames, dtype=np.int64) * interval_us


def at_pixel(events: EventPacket, x: int, y: int) -> EventPacket:
    mine = (events.x == x) & (events.y == y)
    return EventPacket(events.t[mine], events.x[mine], events.y[mine], events.p[mine])


@pytest.mark.parametrize("frames", [2, 5, 33])
@pytest.mark.parametrize("sign", [1, -1])
def test_log_ramp_gives_one_event_a_threshold_at_the_right_time(frames: int, sign: int) -> None:
    levels = np.linspace(0, sign * 1.0, frames) + (sign < 0)
    t_us = np.linspace(1_000_000, 2_000_000, frames).astype(np.int64)
    events = simulate(ramp(levels), t_us, IDEAL, seed=0)
    for x, y in np.ndindex(4, 4):
        mine = at_pixel(events, x, y)
        expected = [1_200_000, 1_400_000, 1_600_000, 1_800_000, 2_000_000]
        assert mine.p.tolist() == [sign > 0] * 5
        np.testing.assert_allclose(mine.t, expected, atol=200)


def test_slow_change_fires_too() -> None:
    """The memorised level is the last event's, not the last frame's."""
    events = simulate(ramp(np.linspace(0, 0.25, 100), 1), times(100, 1000), IDEAL, seed=0)
    assert len(events) == 1


def test_dark_pixels_are_linear() -> None:
    luma = np.array([0, 10, 20, 20 * math.e], np.float32)
    expected = [0, math.log(20) / 2, math.log(20), math.log(20) + 1]
    np.testing.assert_allclose(lin_log(luma), expected, rtol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_times_stay_in_their_frame_interval_and_in_order(name: str) -> None:
    model = PixelModel(Geometry(8, 8), PRESETS[name], seed=1)
    t0 = 123_456
    assert len(model.step(flicker()[0], t0)) == 0
    for i, frame in enumerate(flicker()[1:]):
        events = model.step(frame, t0 + (i + 1) * 10_007)
        assert len(events)
        assert events.t[0] >= t0 + i * 10_007
        assert events.t[-1] <= t0 + (i + 1) * 10_007
        assert (np.diff(events.t) >= 0).all()
        assert events.x.max() < 8
        assert events.y.max() < 8


def test_constant_scene_is_silent_without_noise() -> None:
    frames = np.full((50, 16, 16), 90, np.uint8)
    assert len(simulate(frames, times(50, 20_000), PRESETS["clean"], seed=0)) == 0


@pytest.mark.parametrize("interval_us", [10_000, 100_000])
def test_constant_scene_fires_shot_noise_at_the_set_rate(interval_us: int) -> None:
    config = replace(IDEAL, shot_hz=5)
    frames = np.broadcast_to(np.float32(100), (10_000_000 // interval_us + 1, 20, 20))
    events = simulate(frames, times(len(frames), interval_us), config, seed=2)
    expected = 5 * (1 - 0.75 * 120 / 275) * 10 * 400
    assert abs(len(events) - expected) < 4 * math.sqrt(expected)
    on = int(events.p.sum())
    assert abs(2 * on - len(events)) < 4 * math.sqrt(len(events))


def test_constant_scene_leaks_on_events_at_the_set_rate() -> None:
    config = replace(IDEAL, leak_hz=1.0, leak_jitter=0.1)
    frames = np.full((1001, 20, 20), 100, np.uint8)
    events = simulate(frames, times(1001, 20_000), config, seed=2)
    expected = 400 * 20 * math.exp((0.1 * math.log(10)) ** 2 / 2)  # the log-normal's mean
    assert events.p.all()
    assert len(events) == pytest.approx(expected, rel=0.05)


def test_same_seed_same_events() -> None:
    def run(seed: int) -> EventPacket:
        return simulate(flicker(), times(12, 10_000), PRESETS["noisy"], seed)

    a, b, other = run(7), run(7), run(8)
    assert all(np.array_equal(getattr(a, k), getattr(b, k)) for k in "txyp")
    assert len(a) != len(other) or not np.array_equal(a.t, other.t)


def test_simulate_equals_stepping() -> None:
    frames, t_us, config = flicker(), times(12, 3_000), replace(PixelConfig(), shot_hz=20)
    whole = simulate(frames, t_us, config, seed=3)
    model = PixelModel(Geometry(8, 8), config, seed=3)
    steps = EventPacket.concatenate(
        [model.step(f, int(t)) for f, t in zip(frames, t_us, strict=True)]
    )
    order_a = np.lexsort((whole.x, whole.y, whole.t))
    order_b = np.lexsort((steps.x, steps.y, steps.t))
    for key in "txyp":
        assert np.array_equal(getattr(whole, key)[order_a], getattr(steps, key)[order_b])


def slow_refractory(events: EventPacket, refractory_us: int) -> list[tuple[int, int, int, int]]:
    """The definition, one event at a time."""
    last: dict[tuple[int, int], int] = {}
    kept = []
    for t, x, y, p in zip(*(getattr(events, k).tolist() for k in "txyp"), strict=True):
        if t - last.get((x, y), -(10**18)) >= refractory_us:
            last[x, y] = t
            kept.append((t, x, y, p))
    return kept


@pytest.mark.parametrize("refractory_us", [300, 1_000, 25_000])
def test_refractory_period_is_exact(refractory_us: int) -> None:
    free = replace(PixelConfig(), shot_hz=50, refractory_us=0)
    frames, t_us = flicker(), times(12, 5_000)
    every = simulate(frames, t_us, free, seed=4)
    model = PixelModel(Geometry(8, 8), replace(free, refractory_us=refractory_us), seed=4)
    kept = EventPacket.concatenate(
        [model.step(f, int(t)) for f, t in zip(frames, t_us, strict=True)]
    )
    columns = (getattr(kept, k).tolist() for k in "txyp")
    expected = slow_refractory(every, refractory_us)
    assert len(expected) < len(every)
    assert sorted(zip(*columns, strict=True)) == sorted(expected)


def slow_pixel(levels: NDArray[np.float64], t_us: NDArray[np.int64]) -> list[tuple[float, int]]:
    """One ideal pixel, threshold 0.2, from the definition: (time, polarity) of each crossing."""
    memory, events = levels[0], []
    for i in range(1, len(levels)):
        start, end, span = levels[i - 1], levels[i], t_us[i] - t_us[i - 1]
        while abs(end - memory) >= 0.2 * (1 - 1e-4):
            memory += math.copysign(0.2, end - memory)
            phase = min(max((memory - start) / (end - start), 0.0), 1.0)
            events.append((float(t_us[i - 1] + phase * span), int(end > start)))
    return events


def test_against_a_slow_pixel() -> None:
    frames, t_us = flicker(), times(12, 10_000)
    events = simulate(frames, t_us, IDEAL, seed=0)
    for x, y in np.ndindex(8, 8):
        expected = slow_pixel(lin_log(frames[:, y, x]).astype(np.float64), t_us)
        mine = at_pixel(events, x, y)
        assert mine.p.tolist() == [p for _, p in expected]
        np.testing.assert_allclose(mine.t, [t for t, _ in expected], atol=2)


def test_bandwidth_delays_a_step_most_where_it_is_dark() -> None:
    """A first-order low pass of time constant 275 / ((luma + 20) * 2 pi f)."""
    config = replace(IDEAL, cutoff_hz=10)
    frames = np.full((401, 1, 2), 30, np.float32)
    frames[1:] = (60, 240)
    events = simulate(frames, times(401, 500), config, seed=0)
    for x, luma in enumerate((60, 240)):
        mine = at_pixel(events, x, 0)
        step = math.log(luma / 30)
        tau = 275 / ((luma + 20) * 2 * math.pi * 10)
        levels = 0.2 * np.arange(1, len(mine) + 1)
        assert len(mine) == int(step / 0.2)
        np.testing.assert_allclose(mine.t * 1e-6, -tau * np.log(1 - levels / step), atol=2e-3)


def test_thresholds_spread_but_keep_their_mean() -> None:
    config = replace(IDEAL, threshold_sigma=0.03)
    events = simulate(ramp(np.array([0, 1.9]), 64), times(2, 1000), config, seed=0)
    counts = np.bincount(events.y.astype(int) * 64 + events.x, minlength=4096)
    assert counts.std() > 0.5
    assert counts.mean() == pytest.approx(9.25, abs=0.25)


def test_rgb_is_weighted_to_luma() -> None:
    grey = flicker(side=4)
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    np.testing.assert_allclose(luma_of(rgb), grey, rtol=1e-5)
    a = simulate(rgb, times(12, 1000), IDEAL, seed=0)
    assert len(a) == len(simulate(grey, times(12, 1000), IDEAL, seed=0))


def test_bad_frames_are_refused() -> None:
    frames = flicker()
    with pytest.raises(SourceError, match="must increase"):
        simulate(frames, np.zeros(12, np.int64), IDEAL, seed=0)
    with pytest.raises(SourceError, match="do not make a clip"):
        simulate(frames, times(11, 10), IDEAL, seed=0)
    with pytest.raises(SourceError, match="does not fit"):
        PixelModel(Geometry(4, 4), IDEAL, seed=0).step(frames[0], 0)
    with pytest.raises(SourceError, match="negative"):
        PixelConfig(leak_hz=-1)
    with pytest.raises(SourceError, match="at least"):
        PixelConfig(on_threshold=0)
