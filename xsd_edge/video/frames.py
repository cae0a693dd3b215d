"""Where the target's frames come from: the source's own, a video, a webcam, images, the events."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError
from xsd_edge.events.cutter import Slice
from xsd_edge.events.listening import Heard
from xsd_edge.events.live.frames import LiveFrames
from xsd_edge.events.packet import Geometry
from xsd_edge.events.representation import event_image
from xsd_edge.events.source import Frames, FrameTrack
from xsd_edge.video.decode import ImageFolder, Stepped, Timed, video, webcam

Image = NDArray[np.uint8]
RECORDED: Final = (FrameTrack, ImageFolder, Stepped)
ONE_CLOCK: Final = "frames are on the events' clock; leave out --offset"
MARGIN_US: Final = 1_000_000  # about what was heard; more than offsets are long
SMALL_ACROSS: Final = 160  # pixels of a webcam's frames that are kept for comparing clocks
SMALL_KEPT: Final = 400
NEAR_US: Final = 60_000_000  # times of images that are farther from the events are another clock's


class FrameSource(Protocol):
    """Gives the frame that closes a slice of the event stream."""

    kind: str  # said in the output: "recording", "camera", "video", "webcam", "images", "rendered"

    def at(self, slice_: Slice) -> Image:
        """RGB [H, W, 3], the newest frame at the slice's end."""


class ClockedFrames(FrameSource, Protocol):
    """A frame source with a clock of its own."""

    offset_us: int  # events' time of a moment less the frames' time of it

    def around(self, heard: Heard) -> Iterator[Timed]:
        """All frames about what was heard, with their times on the events' clock (less the offset).

        Raises:
            SourceError: there are none, or they are on the events' clock anyway.
        """


class TrackFrames:
    """Frames that the source gives with its events, on the events' clock."""

    def __init__(self, track: Frames) -> None:
        self._track = track
        self.offset_us = 0
        self.kind = "recording" if isinstance(track, RECORDED) else "camera"

    def at(self, slice_: Slice) -> Image:
        # An exposure that ends exactly with the slice belongs to it.
        return self._track.newest(slice_.t1_us - self.offset_us)

    def around(self, heard: Heard) -> Iterator[Timed]:
        if not isinstance(self._track, FrameTrack | ImageFolder):
            raise SourceError(f"this {self.kind}'s {ONE_CLOCK}")
        yield from _near(self._track, 0, heard)


class VideoFrames:
    """A video file whose first frame is taken when the events begin; its last frame stays."""

    kind = "video"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = Stepped(video(path), str(path))
        self._origin_us: int | None = None
        self.offset_us = 0

    def at(self, slice_: Slice) -> Image:
        if self._origin_us is None:
            self._origin_us = slice_.t0_us
        return self._frames.newest(slice_.t1_us - self._origin_us - self.offset_us)

    def around(self, heard: Heard) -> Iterator[Timed]:
        for frame in video(self._path):
            t_us = heard.began_us + frame.t_us
            if t_us > int(heard.events.t[-1]) + MARGIN_US:
                return
            yield Timed(t_us, frame.image)


class FolderFrames:
    """A folder of images. Their times are the events' own if they are near those at the beginning,
    else, as without times, the first image is taken when the events begin.
    """

    kind = "images"

    def __init__(self, folder: ImageFolder) -> None:
        self._folder = folder
        self._shift_us: int | None = None  # from the events' clock to the images'
        self.offset_us = 0

    def at(self, slice_: Slice) -> Image:
        if self._shift_us is None:
            self._shift_us = self._shift(slice_.t0_us)
        return self._folder.newest(slice_.t1_us + self._shift_us - self.offset_us)

    def around(self, heard: Heard) -> Iterator[Timed]:
        yield from _near(self._folder, self._shift(heard.began_us), heard)

    def _shift(self, began_us: int) -> int:
        times = self._folder.t_us
        near = times[0] - NEAR_US <= began_us <= times[-1] + NEAR_US
        return 0 if self._folder.stamped and near else int(times[0]) - began_us


class WebcamFrames:
    """A frame camera that runs beside the event camera: the newest frame when a slice was complete.

    A thread reads it, so that no frame waits in the driver.
    """

    kind = "webcam"

    def __init__(self, frames: Iterator[Timed], name: str, *, compared: bool = False) -> None:
        """With `compared`, small pictures are kept until `around` takes them."""
        self._frames = frames
        self._kept = LiveFrames(name)
        self._small: deque[Timed] | None = deque(maxlen=SMALL_KEPT) if compared else None
        self._error: SourceError | None = None
        self.offset_us = 0
        threading.Thread(target=self._read, name="webcam", daemon=True).start()

    def at(self, slice_: Slice) -> Image:
        if self._error is not None:
            raise self._error
        return self._kept.newest(int(slice_.ready_s * 1e6) - self.offset_us)

    def around(self, heard: Heard) -> Iterator[Timed]:
        small, self._small = self._small or (), None
        for frame in tuple(small):
            yield Timed(frame.t_us - heard.behind_us, frame.image)

    def _read(self) -> None:
        try:
            for timed in self._frames:
                self._kept.add(timed.t_us, timed.image)
                if (small := self._small) is not None:
                    step = -(-timed.image.shape[1] // SMALL_ACROSS)
                    small.append(Timed(timed.t_us, timed.image[::step, ::step].copy()))
        except SourceError as error:
            self._error = error  # the consumer's to see


class RenderedFrames:
    """No frame camera: pictures of the events themselves. The target then sees shape and motion
    only.
    """

    kind = "rendered"

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self.offset_us = 0

    def at(self, slice_: Slice) -> Image:
        return event_image(slice_.events, self._geometry)

    def around(self, heard: Heard) -> Iterator[Timed]:
        raise SourceError(f"the rendered {ONE_CLOCK}")


def open_frames(spec: str, *, compared: bool = False) -> ClockedFrames:
    """What --video says: a video file, a V4L2 camera, or a folder of images (FOLDER?fps=20).

    `compared`: what is seen at the beginning will be compared with events (`around`).

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
        return WebcamFrames(webcam(path), str(path), compared=compared)
    return VideoFrames(path)


def _near(track: FrameTrack | ImageFolder, shift_us: int, heard: Heard) -> Iterator[Timed]:
    """Frames about what was heard; `shift_us` leads from the events' clock to theirs."""
    times = track.t_us
    first, last = int(heard.events.t[0]), int(heard.events.t[-1])
    lo, hi = np.searchsorted(
        times, (first + shift_us - MARGIN_US, last + shift_us + MARGIN_US)
    ).tolist()
    for t_us in times[lo:hi].tolist():
        yield Timed(t_us - shift_us, track.newest(t_us))


def _fps(said: dict[str, str], spec: str) -> float:
    try:
        fps = float(said["fps"])
        if len(said) > 1 or not 0 < fps <= 1e6:
            raise ValueError
    except (KeyError, ValueError) as error:
        raise SourceError(f"{spec}: the only option of --video is ?fps=20") from error
    return fps
