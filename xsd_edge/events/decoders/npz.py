"""npz: our own clip files: t, x, y, p, width, height, and optionally frames and frames_t_us."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.columns import columns
from xsd_edge.events.decoders.npy import read_array
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import FrameTrack, Wanted

MAGIC: Final = b"PK\x03\x04"
EVENTS: Final = ("t", "x", "y", "p")
OTHERS: Final = ("width", "height", "frames", "frames_t_us")
DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # a zip feature that Python has not
    OverflowError,
    RuntimeError,  # encrypted
    ValueError,
)


def fits(path: Path, head: bytes) -> bool:
    """Is it a zip archive?"""
    return head.startswith(MAGIC)


def open_file(path: Path, wanted: Wanted) -> Recording:
    """Read the whole clip.

    Raises:
        FormatError: it is damaged, lacks an array, or holds objects.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise FormatError(
                        f"{path} is packed in an unusual way; use np.savez_compressed"
                    )
                if key in EVENTS + OTHERS:
                    with archive.open(info) as file:
                        arrays[key] = read_array(f"{key} in {path}", file)
    except DAMAGE as error:
        raise FormatError(f"{path} is not an intact npz: {error}; write it again") from error
    return _recording(str(path), arrays, wanted)


def _recording(name: str, arrays: dict[str, NDArray[Any]], wanted: Wanted) -> Recording:
    missing = [key for key in EVENTS if key not in arrays]
    if missing:
        raise FormatError(f"{name} lacks {', '.join(missing)}; an event npz has t, x, y and p")
    counters = Counters()
    geometry = wanted.geometry or _geometry(name, arrays)
    events = columns(name, *(arrays[key] for key in EVENTS))

    def decoded() -> Generator[EventPacket]:
        yield from Continuity(geometry, counters).packets(*events)

    return Recording(name, geometry, counters, decoded(), _frames(name, arrays))


def _geometry(name: str, arrays: dict[str, NDArray[Any]]) -> Geometry:
    sides = [arrays.get(key) for key in ("width", "height")]
    if any(side is None or side.size != 1 or side.dtype.kind not in "iu" for side in sides):
        raise FormatError(f"{name} does not tell its sensor's size; add it: {name}?size=640x480")
    width, height = (int(side.item()) for side in sides if side is not None)
    return Geometry(width, height)


def _frames(name: str, arrays: dict[str, NDArray[Any]]) -> FrameTrack | None:
    if "frames" not in arrays:
        return None
    images, times = arrays["frames"], arrays.get("frames_t_us")
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or not images.size:
        raise FormatError(f"{name}: frames must be uint8 [T, H, W, 3]; write the clip again")
    if times is None or times.shape != images.shape[:1] or times.dtype.kind not in "iu":
        raise FormatError(f"{name}: frames_t_us must be one time for each frame")
    t_us = times.astype(np.int64)
    if (np.diff(t_us) <= 0).any():
        raise FormatError(f"{name}: the times of its frames do not increase; write the clip again")
    return FrameTrack(t_us, images)
