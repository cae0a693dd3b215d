"""Decode: RGB pictures with their times, out of video files, webcams and folders of images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.packet import Geometry

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

IMAGES: Final = (".png", ".jpg", ".jpeg", ".bmp")
TIMES: Final = "timestamps.txt"
TIMES_ABOVE: Final = 3  # DSEC's images/timestamps.txt is two folders above images/left/rectified


class Timed(NamedTuple):
    """An RGB image [H, W, 3] and its time: since the video's start, or as its source says."""

    t_us: int
    image: NDArray[np.uint8]


def video(path: Path, size: Geometry | None = None, fps: float | None = None) -> Iterator[Timed]:
    """Frames of a video file, scaled to `size`; `fps` replaces the times that the file tells.

    Raises:
        SourceError: the file is no video, or damaged.
    """
    container = _open(path, None)
    try:
        for number, frame in enumerate(_frames(container, path)):
            t = number / fps if fps else float(frame.time or 0.0)
            yield Timed(round(t * 1e6), _rgb(frame, size))
    finally:
        container.close()


def webcam(path: Path, size: Geometry | None = None) -> Iterator[Timed]:
    """Frames of a V4L2 camera as they come, on time.perf_counter's clock, without end.

    Raises:
        CameraAbsentError: it was unplugged.
        SourceError: it cannot be opened as a camera.
    """
    container = _open(path, "v4l2")
    try:
        for frame in _frames(container, path):
            yield Timed(int(time.perf_counter() * 1e6), _rgb(frame, size))
    finally:
        container.close()
    raise CameraAbsentError(f"{path} gives no more frames; plug the camera in again")


def image(path: Path) -> NDArray[np.uint8]:
    """One image file.

    Raises:
        SourceError: it is none.
    """
    for timed in video(path):
        return timed.image
    raise SourceError(f"{path} holds no picture; take it out of the folder")


class ImageFolder:
    """The images of a folder in order of their names, each loaded when it is asked for.

    Their times, in microseconds, are the lines of a timestamps.txt in the folder or above it (as
    DSEC has it), or `fps` a second from 0.

    Raises:
        SourceError: there are no images, or their times are not known.
    """

    def __init__(self, folder: Path, fps: float | None = None) -> None:
        self._paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES)
        if not self._paths:
            raise SourceError(f"{folder} has no images ({', '.join(IMAGES)}); give another folder")
        found = None if fps else _times_file(folder)
        self.stamped = found is not None  # times of the recording, not from 0
        if found is not None:
            self.t_us = _read_times(found)
        elif fps:
            self.t_us = np.rint(np.arange(len(self._paths)) * (1e6 / fps)).astype(np.int64)
        else:
            raise SourceError(f"{folder} has no {TIMES}; say how many a second: {folder}?fps=20")
        if len(self.t_us) != len(self._paths):
            raise SourceError(
                f"{found} has {len(self.t_us)} times for {len(self._paths)} images; "
                "make them as many"
            )
        self._shown = (-1, np.empty((0, 0, 3), np.uint8))

    def newest(self, t_us: int) -> NDArray[np.uint8]:
        """The newest image at t_us, the first one before that. RGB [H, W, 3]"""
        index = max(int(np.searchsorted(self.t_us, t_us, side="right")) - 1, 0)
        if index != self._shown[0]:
            self._shown = (index, image(self._paths[index]))
        return self._shown[1]


class Stepped:
    """Frames in order of time out of an iterator, looking one ahead.

    Raises:
        SourceError: there is none.
    """

    def __init__(self, frames: Iterator[Timed], name: str) -> None:
        self._frames = frames
        first = next(frames, None)
        if first is None:
            raise SourceError(f"{name} has no frames; give another video")
        self._current, self._next = first.image, next(frames, None)

    def newest(self, t_us: int) -> NDArray[np.uint8]:
        """The newest at t_us, which must not decrease; the last one stays. RGB [H, W, 3]"""
        while self._next is not None and self._next.t_us <= t_us:
            self._current, self._next = self._next.image, next(self._frames, None)
        return self._current


def _open(path: Path, kind: str | None) -> InputContainer:
    import av

    try:
        container = av.open(str(path), format=kind)
    except (av.FFmpegError, OSError) as error:
        advice = "end other programs that use it, or join its group (video)"
        what, advice = ("camera", advice) if kind else ("video", "give a file with a video stream")
        raise SourceError(f"cannot read {what} {path}: {_said(error)}; {advice}") from error
    if not container.streams.video:
        container.close()
        raise SourceError(f"cannot read video {path}: it has no picture; give another file")
    return container


def _frames(container: InputContainer, path: Path) -> Iterator[av.VideoFrame]:
    import av

    decoded = container.decode(container.streams.video[0])
    while True:
        try:
            frame = next(decoded, None)
        except av.FFmpegError as error:
            raise CameraAbsentError(
                f"{path} is damaged, or was unplugged: {_said(error)}; cut it before the damage, "
                "or plug it in again"
            ) from error
        if frame is None:
            return
        yield frame


def _rgb(frame: av.VideoFrame, size: Geometry | None) -> NDArray[np.uint8]:
    if size is not None:
        frame = frame.reformat(size.width, size.height)
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _times_file(folder: Path) -> Path | None:
    near = [folder, *folder.resolve().parents][:TIMES_ABOVE]
    return next((place / TIMES for place in near if (place / TIMES).is_file()), None)


def _read_times(path: Path) -> NDArray[np.int64]:
    try:
        return np.array([int(line) for line in path.read_text().split()], np.int64)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} is not one time in microseconds a line: {error}") from error
