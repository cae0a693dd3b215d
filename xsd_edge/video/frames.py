"""Where the target's frames come from: the source's own, a video, a webcam, images, the events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError
from xsd_edge.events.cutter import Slice
from xsd_edge.events.live.frames import LiveFrames
from xsd_edge.events.packet import Geometry
from xsd_edge.events.representation import event_image
from xsd_edge.events.source import Frames, FrameTrack
from xsd_edge.video.decode import ImageFolder, Stepped, Timed, video, webcam

Image = NDArray[np.uint8]
RECORDED: Final = (FrameTrack, ImageFolder, Stepped)
NEAR_US: Final = 60_000_000  # times of images that are farther from the events are another clock's


class FrameSource(Protocol):
    """Gives the frame that closes a slice of the event stream."""

    kind: str  # said in the output: "recording", "camera", "video", "webcam", "images", "rendered"

    def at(self, slice_: Slice) -> Image:
        """RGB [H, W, 3], the newest frame at the slice's end."""


class TrackFrames:
    """Frames that the source gives with its events, on the events' clock."""

    def __init__(self, track: Frames) -> None:
        self._track = track
        self.kind = "recording" if isinstance(track, RECORDED) else "camera"

    def at(self, slice_: Slice) -> Image:
        # An exposure that ends exactly with the slice belongs to it.
        return self._track.newest(slice_.t1_us)


class VideoFrames:
    """A video file whose first frame is taken when the events begin; its last frame stays."""

    kind = "video"

    def __init__(self, path: Path) -> None:
        self._frames = Stepped(video(path), str(path))
        self._origin_us: int | None = None

    def at(self, slice_: Slice) -> Image:
        if self._origin_us is None:
            self._origin_us = slice_.t0_us
        return self._frames.newest(slice_.t1_us - self._origin_us)


class FolderFrames:
    """A folder of images. Their times are the events' own if they are near those at the beginning,
    else, as without times, the first image is taken when the events begin.
    """

    kind = "images"

    def __init__(self, folder: ImageFolder) -> None:
        self._folder = folder
        self._shift_us: int | None = None  # from the events' clock to the images'

    def at(self, slice_: Slice) -> Image:
        times = self._folder.t_us
        if self._shift_us is None:
            near = times[0] - NEAR_US <= slice_.t0_us <= times[-1] + NEAR_US
            same = self._folder.stamped and near
            self._shift_us = 0 if same else int(times[0]) - slice_.t0_us
        return self._folder.newest(slice_.t1_us + self._shift_us)


class WebcamFrames:
    """A frame camera that runs beside the event camera: the newest frame when a slice was complete.

    A thread reads it, so that no frame waits in the driver.
    """

    kind = "webcam"

    def __init__(self, frames: Iterator[Timed], name: str) -> None:
        self._frames = frames
        self._kept = LiveFrames(name)
        self._error: SourceError | None = None
        threading.Thread(target=self._read, name="webcam", daemon=True).start()

    def at(self, slice_: Slice) -> Image:
        if self._error is not None:
            raise self._error
        return self._kept.newest(int(slice_.ready_s * 1e6))

    def _read(self) -> None:
        try:
            for timed in self._frames:
                self._kept.add(timed.t_us, timed.image)
        except SourceError as error:
            self._error = error  # the consumer's to see


class RenderedFrames:
    """No frame camera: pictures of the events themselves. The target then sees shape and motion
    only.
    """

    kind = "rendered"

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    def at(self, slice_: Slice) -> Image:
        return event_image(slice_.events, self._geometry)


def open_frames(spec: str) -> FrameSource:
    """What --video says: a video file, a V4L2 camera, or a folder of images (FOLDER?fps=20).

    Raises:
        SourceError: it is none of them.
    """
    path, fps = Path(spec), None
    name, mark, query = spec.rpartition("?")
    if mark and not path.exists():
        path, fps = Path(name), _fps(dict(parse_qsl(query)), spec)
    if path.is_dir():
        return FolderFrames(ImageFolder(path, fps))
    if path.is_char_device():
        return WebcamFrames(webcam(path), str(path))
    return VideoFrames(path)


def _fps(said: dict[str, str], spec: str) -> float:
    try:
        fps = float(said["fps"])
        if len(said) > 1 or not 0 < fps <= 1e6:
            raise ValueError
    except (KeyError, ValueError) as error:
        raise SourceError(f"{spec}: the only option of --video is ?fps=20") from error
    return fps
