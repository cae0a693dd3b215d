"""A recorded run as a source: its events for whoever reads events, its clips as they were."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.clip_folder import (
    ABOUT,
    CLIPS,
    FORMAT,
    FRAME_TIMES,
    FRAMES,
    RENDERED,
    Images,
    RecordedClip,
    read_arrays,
    read_clip,
)
from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import Extent


class ClipFolder:
    """A recorded run as a source of events; `clips` gives more: slices and frames as they were.

    Raises:
        FormatError: `recording.json` cannot be understood.
        SourceError: no clip was recorded.
    """

    live = False
    encoding = "clips"

    def __init__(self, folder: Path) -> None:
        try:
            about = json.loads((folder / ABOUT).read_bytes())
            version, self.geometry = about["format"], Geometry.parse(about["sensor"])
            self._slices, self._clip_us = int(about["slices"]), int(about["clip_us"])
            self.has_frames = about["frames"] != RENDERED
            self.asked: dict[str, object] = dict(about["asked"])  # what the answers depended on
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{folder / ABOUT} cannot be understood; restore it") from error
        if version != FORMAT:
            raise FormatError(f"{folder} has format {version}; this version reads {FORMAT}")
        self._paths = sorted((folder / CLIPS).glob("[0-9]*.npz"))
        if not self._paths:
            raise SourceError(f"{folder} holds no complete clip; record for longer")
        self.counters = Counters()
        self.frames = RecordedFrames(self._paths) if self.has_frames else None
        self.closed = threading.Event()

    def fits(self, slices: int, clip_us: int) -> bool:
        """Were the clips cut like this?"""
        return (self._slices, self._clip_us) == (slices, clip_us)

    def clips(self, *, frames: bool) -> Iterator[RecordedClip]:
        """The clips as they were; each is read when it is asked for."""
        for path in self._paths:
            if self.closed.is_set():
                return
            clip = read_clip(path, frames=frames)
            self.counters.events += sum(len(s.events) for s in clip.slices)
            yield clip

    def extent(self, enough_us: int) -> Extent | None:
        """From the first clip to where time first jumps."""
        found: Extent | None = None
        for path in self._paths:
            edges = read_arrays(path, ("slice_t_us",))["slice_t_us"]
            if found is not None and (edges[0] != found.t1_us or found.length_us >= enough_us):
                break
            found = Extent(found.t0_us if found else int(edges[0]), int(edges[-1]))
        return found

    def packets(self) -> Iterator[EventPacket]:
        """The events of all clips; where clips are missing in between, time jumps."""
        end: int | None = None
        for clip in self.clips(frames=False):
            jumped = end is not None and clip.slices[0].t0_us != end
            end = clip.slices[-1].t1_us
            for slice_ in clip.slices:
                seen = slice_.events
                if len(seen):
                    yield EventPacket(seen.t, seen.x, seen.y, seen.p, jumped)
                    jumped = False

    def close(self) -> None:
        """End `packets` before its next clip."""
        self.closed.set()


class RecordedFrames:
    """The frames of all clips, read clip by clip as time goes on."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = deque(paths)
        self._now = self._ahead = self._next()

    def newest(self, t_us: int) -> NDArray[np.uint8]:
        """The newest frame at t_us: RGB [H, W, 3]; the first one before that."""
        while self._ahead and int(self._ahead[FRAME_TIMES][0]) <= t_us:
            self._now, self._ahead = self._ahead, self._next()
        index = int(np.searchsorted(self._now[FRAME_TIMES], t_us, side="right")) - 1
        image: NDArray[np.uint8] = self._now[FRAMES][max(index, 0)]
        return image

    def _next(self) -> dict[str, NDArray[Any]]:
        """Of the next clip; nothing when there is none."""
        if not self._paths:
            return {}
        path = self._paths.popleft()
        found = read_arrays(path, (FRAMES, FRAME_TIMES))
        if len(found) < 2 or not len(found[FRAMES]) == len(found[FRAME_TIMES]) > 0:
            raise FormatError(f"{path} lacks its frames; leave it out of the folder")
        return found


class Replay:
    """Hands out a recorded run's slices exactly as they were, and its frames; leaves nothing out.

    Paced, a slice comes when it came in the run, counted from the first; never before it is asked
    for, so that a slow consumer falls behind instead of losing clips.
    """

    drop_late = False
    kind = "recording"

    def __init__(self, folder: ClipFolder, *, paced: bool, frames: bool) -> None:
        self._folder, self._paced, self._with_frames = folder, paced, frames
        self._events = self._dropped = 0
        self._frames: Images | None = None

    def __iter__(self) -> Iterator[Slice]:
        start: float | None = None
        for clip in self._folder.clips(frames=self._with_frames):
            first = clip.slices[0]
            if start is None or first.discontinuity:
                start = time.monotonic() - first.t0_us * 1e-6
            self._frames = clip.frames
            for slice_ in clip.slices:
                if self._paced and self._folder.closed.wait(
                    max(0.0, start + slice_.t1_us * 1e-6 - time.monotonic())
                ):
                    return
                self._events += len(slice_.events)
                self._dropped += slice_.events_dropped
                yield slice_

    def at(self, slice_: Slice) -> Images:
        """The frame that closed this slice in the run: RGB [H, W, 3]."""
        if self._frames is None or slice_.index >= len(self._frames):
            raise FormatError(
                f"clip {slice_.clip} was recorded without frames; say --frames rendered"
            )
        image: Images = self._frames[slice_.index]
        return image

    def withdraw(self, slices: list[Slice]) -> bool:
        """Nothing is late here."""
        return False

    def totals(self) -> dict[str, int]:
        """A reader's counts, of what was replayed so far."""
        return {
            "events": self._events + self._dropped,
            "events_delivered": self._events,
            "events_dropped": self._dropped,
            "events_tail": 0,
            "windows_dropped": 0,
            "events_dropped_geometry": 0,
            "decode_resyncs": 0,
            "t_backward_jumps": 0,
            "truncated": 0,
        }

    def close(self) -> None:
        self._folder.close()
