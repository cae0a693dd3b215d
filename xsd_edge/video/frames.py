"""Where the target's frames come from: the recording's own, a video file, or the event stream
itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError
from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import Geometry
from xsd_edge.events.representation import event_image
from xsd_edge.events.source import FrameTrack

Image = NDArray[np.uint8]


class FrameSource(Protocol):
    """Gives the frame that closes a slice of the event stream."""

    kind: str  # said in the output: "recording", "video" or "rendered"

    def at(self, slice_: Slice) -> Image:
        """RGB [H, W, 3], the newest frame at the slice's end."""


class TrackFrames:
    """Frames that were recorded with the events, on the events' clock."""

    kind = "recording"

    def __init__(self, track: FrameTrack) -> None:
        self._track = track

    def at(self, slice_: Slice) -> Image:
        # An exposure that ends exactly with the slice belongs to it.
        index = int(np.searchsorted(self._track.t_us, slice_.t1_us, side="right")) - 1
        image: Image = self._track.images[max(index, 0)]
        return image


class VideoFrames:
    """A video file whose first frame is taken when the events begin; its last frame stays."""

    kind = "video"

    def __init__(self, path: Path) -> None:
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise SourceError(
                f"cannot read video {path}: {error}; give a file with a video stream"
            ) from error
        self._decoded = self._container.decode(self._stream)
        self._path = path
        self._origin_us: int | None = None
        self._next = self._following()
        if self._next is None:
            raise SourceError(f"{path} has no frames; give another --video")
        self._current = self._next[1]

    def at(self, slice_: Slice) -> Image:
        if self._origin_us is None:
            self._origin_us = slice_.t0_us
        while self._next is not None and self._next[0] <= slice_.t1_us - self._origin_us:
            self._current = self._next[1]
            self._next = self._following()
        return self._current

    def _following(self) -> tuple[int, Image] | None:
        """(time in us from the video's start, RGB image) of the next frame, None at the end."""
        try:
            frame = next(self._decoded, None)
        except av.FFmpegError as error:
            raise SourceError(
                f"{self._path} is damaged: {error}; cut it before the damage"
            ) from error
        if frame is None:
            return None
        return round((frame.time or 0.0) * 1e6), np.asarray(
            frame.to_ndarray(format="rgb24"), np.uint8
        )


class RenderedFrames:
    """No frame camera: pictures of the events themselves. The target then sees shape and motion
    only.
    """

    kind = "rendered"

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    def at(self, slice_: Slice) -> Image:
        return event_image(slice_.events, self._geometry)
