"""The DVS pixel: turns luma frames into events, with the noise that real pixels have.

Model: Hu, Liu and Delbruck, "v2e: From Video Frames to Realistic DVS Events", CVPRW 2021; crossing
times inside the frame interval after Rebecq et al., "ESIM", CoRL 2018; leak after Nozaki, Delbruck
2017; shot noise after Graca and Delbruck 2021. Two places are stricter than v2e: noise events leave
the memorised level alone and come from a Poisson process, so that a constant scene fires at the set
rates whatever the frame rate; and the refractory period holds between any two events of a pixel,
also within one frame interval. Same seed, same events, on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError
from xsd_edge.events import elementary
from xsd_edge.events.packet import EventPacket, Geometry

LINEAR_UP_TO: Final = 20.0  # luma; a logarithm down to black would blow dark noise up
LOG_LINEAR: Final = np.float32(math.log(LINEAR_UP_TO))
SMALLEST_THRESHOLD: Final = 0.01
DECADE: Final = math.log(10)
LEAK_DECADES: Final = 0.1  # spread of leak rates over the pixels, log-normal
SHOT_AT_WHITE: Final = 0.25  # share of the dark shot noise rate that is left at full brightness
SLACK: Final = 1e-4  # of a threshold; lets a rise of exactly n thresholds give n events in float32
LUMA_WEIGHTS: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as v2e
NEVER: Final = -(1 << 62)

Floats = NDArray[np.float32]


class _Events(NamedTuple):
    """Events before they have coordinates: flat pixel index, ON or OFF, microseconds; each [n]."""

    pixel: NDArray[np.intp]
    on: NDArray[np.bool_]
    t: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PixelConfig:
    """One sensor's pixels: thresholds in natural-log units, rates in Hz; 0 turns one off."""

    on_threshold: float = 0.2
    off_threshold: float = 0.2
    threshold_sigma: float = 0.03
    cutoff_hz: float = 300.0
    leak_hz: float = 0.01
    leak_jitter: float = 0.1
    shot_hz: float = 0.001
    refractory_us: int = 500

    def __post_init__(self) -> None:
        if min(self.on_threshold, self.off_threshold) < SMALLEST_THRESHOLD:
            raise SourceError(f"event thresholds must be at least {SMALLEST_THRESHOLD}")
        rest = (self.threshold_sigma, self.cutoff_hz, self.leak_hz, self.leak_jitter, self.shot_hz)
        if min(*rest, self.refractory_us) < 0:
            raise SourceError("pixel model values must not be negative; 0 turns a part off")


PRESETS: Final = {
    "clean": PixelConfig(
        threshold_sigma=0.02, cutoff_hz=0, leak_hz=0, leak_jitter=0, shot_hz=0, refractory_us=0
    ),
    "default": PixelConfig(),
    "noisy": PixelConfig(
        threshold_sigma=0.05, cutoff_hz=30, leak_hz=0.1, shot_hz=5, refractory_us=0
    ),
}


def lin_log(luma: Floats) -> Floats:
    """Luma 0..255 to the pixel's log level: x * ln(20) / 20 up to 20, ln(x) above."""
    dark = np.minimum(luma, np.float32(LINEAR_UP_TO)) * (LOG_LINEAR / np.float32(LINEAR_UP_TO))
    bright = elementary.log(np.maximum(luma, np.float32(LINEAR_UP_TO)))
    return np.asarray(dark + (bright - LOG_LINEAR), np.float32)


def luma_of(rgb: NDArray[np.uint8] | Floats) -> Floats:
    """RGB [..., 3] to luma [...], ITU-R BT.601."""
    planes = np.asarray(rgb, np.float32)
    red, green, blue = (planes[..., i] * weight for i, weight in enumerate(LUMA_WEIGHTS))
    return np.asarray(red + green + blue, np.float32)


def _joined(parts: list[_Events]) -> _Events:
    return _Events(
        np.concatenate([np.empty(0, np.intp), *(part.pixel for part in parts)]),
        np.concatenate([np.empty(0, np.bool_), *(part.on for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.t for part in parts)]),
    )


class _Interval(NamedTuple):
    """From one frame to the next, in microseconds."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) * 1e-6

    def at(self, phase: NDArray[np.floating]) -> NDArray[np.int64]:
        """Absolute microseconds at a share 0..1 of the interval."""
        offset = np.rint(phase.astype(np.float64) * (self.end - self.start))
        return self.start + offset.astype(np.int64)


class PixelModel:
    """An array of DVS pixels, shown one frame after another. Same seed, same events."""

    def __init__(self, geometry: Geometry, config: PixelConfig, seed: int) -> None:
        self.geometry = geometry
        self.config = config
        self._rng = np.random.default_rng(seed)
        pixels = geometry.width * geometry.height
        self._on = self._thresholds(config.on_threshold, pixels)
        self._off = self._thresholds(config.off_threshold, pixels)
        self._on_edge = self._on * np.float32(1 - SLACK)
        self._off_edge = self._off * np.float32(SLACK - 1)
        decades = self._rng.standard_normal(pixels, np.float32) * np.float32(LEAK_DECADES)
        spread = elementary.exp(decades.astype(np.float64) * DECADE).astype(np.float32)
        self._leak = self._on * spread * np.float32(config.leak_hz)
        self._shot = np.concatenate(
            (config.on_threshold / self._on, config.off_threshold / self._off)
        )
        self._last = np.full(pixels, NEVER, np.int64)
        self._level = self._memory = np.empty(0, np.float32)
        self._t_us: int | None = None

    def step(self, luma: NDArray[np.uint8] | Floats, t_us: int) -> EventPacket:
        """Show the next frame, luma 0..255 [H, W]; the first one only sets the pixels' levels.

        Returns the events since the frame before, in order, each t in [that frame's time, t_us].

        Raises:
            SourceError: the frame has another size, or its time is not after the frame before.
        """
        return self._packet(self._fire(luma, t_us))

    def _fire(self, luma: NDArray[np.uint8] | Floats, t_us: int) -> _Events:
        """What the pixels want to send; the refractory period is not yet applied."""
        if luma.shape != (self.geometry.height, self.geometry.width):
            raise SourceError(f"a frame of shape {luma.shape} does not fit {self.geometry} pixels")
        flat = np.asarray(luma, np.float32).ravel()
        if self._t_us is None:
            return self._start(lin_log(flat), t_us)
        if t_us <= self._t_us:
            raise SourceError(f"frame times must increase: {t_us} us came after {self._t_us} us")
        interval = _Interval(self._t_us, t_us)
        brightness = (flat + np.float32(20)) * np.float32(1 / 275)
        before = self._level - self._memory
        self._advance(lin_log(flat), brightness, interval.seconds)
        events = self._crossings(before, self._level - self._memory, interval)
        if self.config.shot_hz:
            events = _joined([events, self._shot_noise(brightness, interval)])
        self._t_us = t_us
        return events

    def _packet(self, events: _Events) -> EventPacket:
        if self.config.refractory_us and len(events.t):
            events = self._refractory(events)
        order = np.argsort(events.t, kind="stable")
        pixel = events.pixel[order].astype(np.uint32)
        y, x = np.divmod(pixel, np.uint32(self.geometry.width))
        on = events.on[order].astype(np.uint8)
        return EventPacket(events.t[order], x.astype(np.uint16), y.astype(np.uint16), on)

    def _thresholds(self, mean: float, pixels: int) -> Floats:
        drawn = self._rng.standard_normal(pixels, np.float32) * np.float32(
            self.config.threshold_sigma
        )
        return np.asarray(np.maximum(drawn + np.float32(mean), SMALLEST_THRESHOLD), np.float32)

    def _start(self, level: Floats, t_us: int) -> _Events:
        self._level, self._t_us = level, t_us
        self._memory = level.copy()
        if self.config.leak_hz:  # else all pixels would leak their first event at one time
            self._memory -= self._on * self._rng.random(len(level), np.float32)
        return _joined([])

    def _advance(self, level: Floats, brightness: Floats, dt: float) -> None:
        """Move the photoreceptor towards the new level, and leak the memorised one away."""
        config = self.config
        if config.cutoff_hz:  # bright pixels are faster
            share = np.minimum(brightness * np.float32(dt * 2 * np.pi * config.cutoff_hz), 1)
            level = self._level + share * (level - self._level)
        self._level = level
        if config.leak_hz:
            jitter = self._rng.standard_normal(len(level), np.float32)
            jitter *= np.float32(-config.leak_jitter * dt)
            jitter += np.float32(dt)
            self._memory -= self._leak * jitter

    def _crossings(self, before: Floats, after: Floats, interval: _Interval) -> _Events:
        """One event at each threshold that contrast crosses going straight from before to after."""
        pixel = np.flatnonzero((after >= self._on_edge) | (after <= self._off_edge))
        on = after[pixel] > 0
        sign = np.where(on, np.float32(1), np.float32(-1))
        threshold = np.where(on, self._on[pixel], self._off[pixel])
        end, start = after[pixel] * sign, before[pixel] * sign
        count = np.floor(end / threshold + np.float32(SLACK)).astype(np.int64)
        self._memory[pixel] += sign * threshold * count.astype(np.float32)
        which = np.repeat(np.arange(len(pixel)), count)
        nth = np.arange(1, len(which) + 1) - np.repeat(np.cumsum(count) - count, count)
        rise = np.maximum(end - start, np.float32(1e-9))
        phase = np.clip((nth * threshold[which] - start[which]) / rise[which], 0, 1)
        return _Events(pixel[which], on[which], interval.at(phase))

    def _shot_noise(self, brightness: Floats, interval: _Interval) -> _Events:
        """ON and OFF events of a Poisson process, rarer where it is bright (drawn by thinning)."""
        most = float(self._shot.max())
        expected = self.config.shot_hz / 2 * interval.seconds * most * self._shot.size
        drawn = self._rng.integers(0, self._shot.size, self._rng.poisson(expected))
        pixel = drawn % len(brightness)
        share = (1 + (SHOT_AT_WHITE - 1) * brightness[pixel]) * self._shot[drawn]
        kept = self._rng.random(len(drawn)) * most < share
        t = interval.at(self._rng.random(int(kept.sum())))
        return _Events(pixel[kept], drawn[kept] < len(brightness), t)

    def _refractory(self, events: _Events) -> _Events:
        """Drop every event that comes too soon after the last kept one of its pixel."""
        order = np.lexsort((events.t, events.pixel))
        pixel, on, t = events.pixel[order], events.on[order], events.t[order]
        first = np.flatnonzero(np.diff(pixel, prepend=-1))  # where each pixel's run starts
        length = np.diff(first, append=len(t))
        gap = np.diff(t, prepend=t[0])
        gap[first] = t[first] - self._last[pixel[first]]
        short = np.add.reduceat(gap < self.config.refractory_us, first) > 0
        ends = (first + length - 1)[~short]
        self._last[pixel[ends]] = t[ends]
        keep = np.ones(len(t), np.bool_)
        first, length = first[short], length[short]
        for nth in range(int(length.max(initial=0))):
            at = first[length > nth] + nth
            late = t[at] - self._last[pixel[at]] >= self.config.refractory_us
            keep[at] = late
            self._last[pixel[at[late]]] = t[at[late]]
        return _Events(pixel[keep], on[keep], t[keep])


def simulate(
    frames: NDArray[np.uint8] | Floats,
    t_us: NDArray[np.int64],
    config: PixelConfig,
    seed: int,
) -> EventPacket:
    """Events that a clip causes: frames [T, H, W] (luma) or [T, H, W, 3] (RGB) at t_us [T].

    Raises:
        SourceError: the frames' times do not increase, or their number or shape is wrong.
    """
    if frames.ndim == 4 and frames.shape[3] == 3:
        frames = luma_of(frames)
    if frames.ndim != 3 or len(frames) != len(t_us):
        raise SourceError(f"frames {frames.shape} and {len(t_us)} times do not make a clip")
    model = PixelModel(Geometry(frames.shape[2], frames.shape[1]), config, seed)
    # The refractory period acts on what pixels send, not on their levels: once a clip will do.
    return model._packet(
        _joined([model._fire(frame, int(t)) for frame, t in zip(frames, t_us, strict=True)])
    )
