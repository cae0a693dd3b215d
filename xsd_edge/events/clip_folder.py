"""Files of a recorded run: one a clip, whole however the run ended (docs/recording-format.md)."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Mapping, Sequence
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
from xsd_edge.events.decoders.quoting import quoted
from xsd_edge.events.packet import EventPacket, Geometry

FORMAT: Final = 1
ABOUT: Final = "recording.json"
CLIPS: Final = "clips"
DROPPED: Final = "dropped"
EVENTS: Final = ("t", "x", "y", "p")
EDGES: Final = ("clip", "slice_t_us", "slice_events", "slice_dropped", "discontinuity")
FRAMES: Final = "frames"
FRAME_TIMES: Final = "frames_t_us"
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
        arrays |= {FRAMES: clip.frames, FRAME_TIMES: ends}
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
    arrays = read_arrays(path, wanted)
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


def read_arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Those of the wanted arrays that a clip's file has.

    Raises:
        FormatError: it is damaged, or one of them holds objects.
        SourceError: it cannot be read.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                key = name.removesuffix(".npy")
                if key in wanted:
                    with archive.open(name) as file:
                        arrays[key] = read_array(f"{key} in {path}", file)
    except DAMAGE as error:
        raise FormatError(
            f"{path} is damaged: {quoted(error)}; leave it out of the folder"
        ) from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}; copy it again") from error
    return arrays
