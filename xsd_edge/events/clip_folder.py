"""Clip folders: what a run recorded, one file a clip, whole however the run ended.

docs/recording-format.md describes the files.
"""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.cutter import Slice
from xsd_edge.events.decoders.npy import read_array
from xsd_edge.events.decoders.npz import DAMAGE
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import Extent

FORMAT: Final = 1
ABOUT: Final = "recording.json"
CLIPS: Final = "clips"
DROPPED: Final = "dropped"
EVENTS: Final = ("t", "x", "y", "p")
EDGES: Final = ("clip", "slice_t_us", "slice_events", "slice_dropped", "discontinuity")
FRAMES: Final = "frames"
RENDERED: Final = "rendered"  # the frames of such a run are pictures of the events: none are kept

Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class RecordedClip:
    """The slices of one clip and, if there were any, the frames that close them: [n, H, W, 3]."""

    slices: tuple[Slice, ...]
    frames: Images | None


def begin_folder(folder: Path, about: Mapping[str, object]) -> None:
    """Write what stands above all clips, and make room for them.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / CLIPS).mkdir()
    (folder / DROPPED).mkdir()
    partial = folder / f".{ABOUT}"
    partial.write_text(json.dumps({"format": FORMAT, **about}, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / ABOUT)


def write_clip(path: Path, clip: RecordedClip, geometry: Geometry) -> None:
    """Write one clip; the file gets its name when it is whole.

    Raises:
        OSError: it could not be written; nothing of it is left.
    """
    slices = clip.slices
    events = EventPacket.concatenate([s.events for s in slices])
    ends = np.array([s.t1_us for s in slices], np.int64)
    arrays: dict[str, Any] = {
        **{key: getattr(events, key) for key in EVENTS},
        "width": geometry.width,
        "height": geometry.height,
        "clip": slices[0].clip,
        "slice_t_us": np.concatenate(([slices[0].t0_us], ends)),
        "slice_events": np.array([len(s.events) for s in slices], np.int64),
        "slice_dropped": np.array([s.events_dropped for s in slices], np.int64),
        "discontinuity": slices[0].discontinuity,
    }
    if clip.frames is not None:
        arrays |= {FRAMES: clip.frames, "frames_t_us": ends}
    partial = path.with_name(f".{path.name}")
    try:
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_clip(path: Path, *, frames: bool) -> RecordedClip:
    """Read one clip, with its frames if they are wanted and there.

    Raises:
        FormatError: it is damaged, or no clip of a folder.
    """
    wanted = (*EVENTS, *EDGES, FRAMES) if frames else (*EVENTS, *EDGES)
    arrays = _read_arrays(path, wanted)
    missing = [key for key in EVENTS + EDGES if key not in arrays]
    if missing:
        raise FormatError(f"{path} lacks {', '.join(missing)}; it is no clip of a recorded run")
    t, x, y, p = (arrays[key] for key in EVENTS)
    edges, counts = arrays["slice_t_us"], arrays["slice_events"]
    if (
        len(edges) != len(counts) + 1
        or int(counts.sum()) != len(t)
        or len({*map(len, (t, x, y, p))}) > 1
    ):
        raise FormatError(f"{path} contradicts itself; leave it out of the folder")
    whole = EventPacket(
        t.astype(np.int64), x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8)
    )
    borders = np.concatenate(([0], np.cumsum(counts))).tolist()
    now = time.perf_counter()
    slices = tuple(
        Slice(
            clip=int(arrays["clip"]),
            index=index,
            t0_us=int(edges[index]),
            t1_us=int(edges[index + 1]),
            events=whole.slice(lo, hi),
            last=index == len(counts) - 1,
            events_dropped=int(arrays["slice_dropped"][index]),
            discontinuity=bool(arrays["discontinuity"]) and index == 0,
            ready_s=now,
        )
        for index, (lo, hi) in enumerate(pairwise(borders))
    )
    return RecordedClip(slices, arrays.get(FRAMES))


def _read_arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                key = name.removesuffix(".npy")
                if key in wanted:
                    with archive.open(name) as file:
                        arrays[key] = read_array(f"{key} in {path}", file)
    except DAMAGE as error:
        raise FormatError(f"{path} is damaged: {error}; leave it out of the folder") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}; copy it again") from error
    return arrays


def is_clip_folder(folder: Path) -> bool:
    return (folder / ABOUT).is_file()


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
        self.frames = None
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
            edges = _read_arrays(path, ("slice_t_us",))["slice_t_us"]
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
