"""Windows of events that end at a frame, from any video (its events simulated) or recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import ClipInfo
from xsd_edge.errors import TrainingError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import count_bins
from xsd_edge.events.simulator import PRESETS, PixelModel, luma_of
from xsd_edge.video.preprocess import resize

Image = NDArray[np.uint8]
SENSOR_SIDES = 2  # a simulated sensor's side, in sides of the event representation
SEED = 9  # of the simulated pixels


class Frame(NamedTuple):
    """RGB uint8 [H, W, 3] and when it was taken, in microseconds."""

    t_us: int
    image: Image


class Window(NamedTuple):
    """The events of [t1_us - length, t1_us), and the frame that was taken at t1_us."""

    events: EventPacket
    geometry: Geometry
    t1_us: int
    image: Image


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows as two networks read them; row i of both is one window."""

    counts: NDArray[np.float16]  # [N, 2 * bins, side, side]
    frames: Image  # [N, S, S, 3] at the tower's size

    @classmethod
    def of(cls, windows: Iterable[Window], length_us: int, clip: ClipInfo) -> Windows:
        """Read windows to the end; `clip` says how the two networks want them.

        Raises:
            TrainingError: there is none.
        """
        counts, frames = [], []
        for events, geometry, t1, image in windows:
            found = count_bins(
                events, geometry, t1 - length_us, t1, clip.event_bins, clip.event_side
            )
            counts.append(found.astype(np.float16))
            frames.append(square(image, clip.image_side))
        if not counts:
            raise TrainingError(
                f"no frame comes {length_us / 1000:g} ms after the first event; give a longer "
                "recording, or a shorter --window-ms"
            )
        return cls(np.stack(counts), np.stack(frames))

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        return cls(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.frames for part in parts]),
        )


def square(image: Image, side: int) -> Image:
    """Shortest edge to `side`, centre square. [H, W, 3] -> [side, side, 3]"""
    height, width = image.shape[:2]
    if (height, width) == (side, side):
        return image
    scale = side / min(height, width)
    tall, wide = max(side, int(height * scale)), max(side, int(width * scale))
    shrunk = resize(image, tall, wide)
    top, left = (tall - side) // 2, (wide - side) // 2
    return shrunk[top : top + side, left : left + side]


def sliding(
    packets: Iterator[EventPacket], frames: Iterable[Frame], geometry: Geometry, length_us: int
) -> Iterator[Window]:
    """A window for every frame that the events reach back far enough for."""
    kept: deque[EventPacket] = deque()
    first: int | None = None
    for t1, image in frames:
        while not kept or kept[-1].t[-1] < t1:
            packet = next(packets, None)
            if packet is None:
                return  # events end before this frame
            if len(packet):
                first = int(packet.t[0]) if first is None else first
                kept.append(packet)
        while kept[0].t[-1] < t1 - length_us:
            kept.popleft()
        if first is not None and t1 - length_us >= first:
            seen = EventPacket.concatenate(list(kept)).between(t1 - length_us, t1)
            yield Window(seen, geometry, t1, image)


def from_video(path: Path, length_us: int, event_side: int) -> Iterator[Window]:
    """A window for every frame of a video; the events are the pixel model's.

    Between two frames the light is taken to change steadily, so the slower the video, the less true
    the events of fast things.

    Raises:
        TrainingError: it is no video, is damaged, or its times do not increase.
    """
    side = SENSOR_SIDES * event_side
    geometry = Geometry(side, side)
    model = PixelModel(geometry, PRESETS["default"], SEED)
    kept: deque[EventPacket] = deque()
    start: int | None = None
    before: int | None = None
    for t1, image in video_frames(path):
        if before is not None and t1 <= before:
            raise TrainingError(
                f"{path}: its times run backwards at {t1 / 1e6:.3f} s; re-encode it, as with "
                "ffmpeg -fps_mode cfr"
            )
        start, before = t1 if start is None else start, t1
        small = square(image, side)
        kept.append(model.step(luma_of(small), t1))
        while len(kept) > 1 and (len(kept[0]) == 0 or kept[0].t[-1] < t1 - length_us):
            kept.popleft()
        if t1 - length_us >= start:
            seen = EventPacket.concatenate(list(kept)).between(t1 - length_us, t1)
            yield Window(seen, geometry, t1, small)


def video_frames(path: Path) -> Iterator[Frame]:
    """The frames of a video file, its own clock.

    Raises:
        TrainingError: there is no such file, no video in it, or damage.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise TrainingError(f"{path} has no video stream; give a video file")
            for frame in container.decode(container.streams.video[0]):
                image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                yield Frame(round((frame.time or 0.0) * 1e6), image)
    except (av.FFmpegError, OSError) as error:
        raise TrainingError(f"cannot read video {path}: {error}; give another file") from error
