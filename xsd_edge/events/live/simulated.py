"""Simulated: events of a DVS pixel model that looks at a video file or a webcam."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xsd_edge.errors import SourceError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.live.base import LiveSource
from xsd_edge.events.live.frames import LiveFrames
from xsd_edge.events.live.place import Place
from xsd_edge.events.live.sequence import WithFrames
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.simulator import PRESETS, PixelConfig, PixelModel, luma_of
from xsd_edge.events.source import Wanted

if TYPE_CHECKING:
    from xsd_edge.video.decode import Timed

SEED: Final = 0  # the same video gives the same events


class _Sensor:
    """Pixels, and what every source does with their events."""

    def __init__(self, geometry: Geometry, pixels: PixelConfig, counters: Counters) -> None:
        self._model = PixelModel(geometry, pixels, SEED)
        self._continuity = Continuity(geometry, counters)
        self._last_us: int | None = None

    def see(self, frame: Timed) -> list[EventPacket]:
        """Events that this frame causes; one that is no later than the last is left out."""
        if self._last_us is not None and frame.t_us <= self._last_us:
            return []
        self._last_us = frame.t_us
        events = self._model.step(luma_of(frame.image), frame.t_us)
        return self._continuity.packets(events.t, events.x, events.y, events.p)


class SimulatedWebcam(LiveSource):
    """Events of a webcam; its frames are the source's own."""

    def __init__(self, frames: Iterator[Timed], name: str, pixels: PixelConfig) -> None:
        super().__init__(name)
        self._frames = frames
        self._first = next(frames)
        height, width = self._first.image.shape[:2]
        self.geometry = Geometry(width, height)
        self._sensor = _Sensor(self.geometry, pixels, self.counters)
        self._kept = LiveFrames(name)
        self.frames = self._kept

    def _packets(self) -> Iterator[EventPacket]:
        yield from self._sensor.see(self._first)
        for frame in self._frames:
            if self._closed.is_set():
                return
            self._kept.add(frame.t_us, frame.image)
            yield from self._sensor.see(frame) or [EventPacket.empty()]

    def _release(self) -> None:
        if isinstance(self._frames, Generator):
            self._frames.close()


def simulate_webcam(place: Place, wanted: Wanted) -> SimulatedWebcam:
    """A webcam as an event camera.

    Raises:
        SourceError: it cannot be read.
    """
    from xsd_edge.video.decode import webcam

    return SimulatedWebcam(webcam(place.path, wanted.geometry), place.name, _pixels(place))


def simulate_video(place: Place, wanted: Wanted) -> WithFrames:
    """A video file as a recording of events, with the video's frames.

    Raises:
        SourceError: it cannot be read.
    """
    from xsd_edge.video.decode import Stepped, video

    fps, pixels = _fps(place), _pixels(place)
    # Decoded twice: events are read ahead, and keeping that many frames costs more.
    frames = Stepped(video(place.path, wanted.geometry, fps), place.name)
    height, width = frames.newest(-1).shape[:2]
    geometry, counters = Geometry(width, height), Counters()
    sensor = _Sensor(geometry, pixels, counters)
    decoded = _decoded(place.path, wanted.geometry, fps, sensor)
    return WithFrames(Recording(place.name, "sim", geometry, counters, decoded), frames)


def _decoded(
    path: Path, size: Geometry | None, fps: float | None, sensor: _Sensor
) -> Generator[EventPacket]:
    from xsd_edge.video.decode import video

    for frame in video(path, size, fps):
        yield from sensor.see(frame)


def _pixels(place: Place) -> PixelConfig:
    name = place.options.get("pixels", "default")
    if name not in PRESETS:
        raise SourceError(f"unknown pixels {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def _fps(place: Place) -> float | None:
    said = place.options.get("fps")
    if said is None:
        return None
    try:
        fps = float(said)
    except ValueError:
        fps = 0.0
    if not 0 < fps <= 1e6:
        raise SourceError(f"{place.name}: fps must be a number above 0, not {said!r}")
    return fps
