"""npz: our own clip files: t, x, y, p, width, height, and optionally frames and frames_t_us.

N-ImageNet's names of the four columns are understood too.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.columns import ColumnReader
from xsd_edge.events.decoders.npy import ArrayStream, read_array
from xsd_edge.events.decoders.quoting import quoted
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import FrameTrack, Wanted

MAGIC: Final = b"PK\x03\x04"
EVENTS: Final = ("t", "x", "y", "p")
ALIASES: Final = {"timestamp": "t", "x_pos": "x", "y_pos": "y", "polarity": "p"}
OTHERS: Final = ("width", "height", "frames", "frames_t_us")
BLOCK: Final = 1 << 17  # events read at once
DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # a zip feature that Python has not
    OSError,  # a place before the beginning of the file
    OverflowError,
    RuntimeError,  # encrypted
    ValueError,
)


def fits(path: Path, head: bytes) -> bool:
    """Is it a zip archive?"""
    return head.startswith(MAGIC)


def open_file(path: Path, wanted: Wanted) -> Recording:
    """A clip; its frames are read now, its events as they are asked for.

    Raises:
        FormatError: it is damaged, lacks an array, or holds objects.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with _damage_is_a_format_error(path), zipfile.ZipFile(path) as archive:
        members = _members(path, archive)
        for key in OTHERS:
            if key in members:
                with archive.open(members[key]) as file:
                    arrays[key] = read_array(f"{key} in {path}", file)
        with ExitStack() as stack:
            _open_columns(path, archive, members, stack)
    name = str(path)
    counters = Counters()
    geometry = wanted.geometry or _geometry(name, arrays)
    decoded = _decoded(path, Continuity(geometry, counters))
    return Recording(name, "npz", geometry, counters, decoded, _frames(name, arrays))


def _decoded(path: Path, continuity: Continuity) -> Generator[EventPacket]:
    check = ColumnReader(str(path))
    with _damage_is_a_format_error(path), ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        columns = _open_columns(path, archive, _members(path, archive), stack)
        left = columns[0].length
        while left:
            count = min(left, BLOCK)
            left -= count
            yield from continuity.packets(*check(*(column.read(count) for column in columns)))


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = {}
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FormatError(f"{path} is packed in an unusual way; use np.savez_compressed")
        key = info.filename.removesuffix(".npy")
        members[ALIASES.get(key, key)] = info
    return members


def _open_columns(
    path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], stack: ExitStack
) -> list[ArrayStream]:
    """t, x, y and p, of one length that the archive can hold."""
    missing = [key for key in EVENTS if key not in members]
    if missing:
        raise FormatError(f"{path} lacks {', '.join(missing)}; an event npz has t, x, y and p")
    columns: list[ArrayStream] = []
    for key in EVENTS:
        file = stack.enter_context(archive.open(members[key]))
        column = ArrayStream(f"{key} in {path}", file)
        size = column.length * column.dtype.itemsize
        if file.tell() + size > members[key].file_size:
            raise FormatError(
                f"{key} in {path} claims {size} bytes, more than it has; copy it again"
            )
        if column.dtype.kind not in "iub" or (columns and column.length != columns[0].length):
            raise FormatError(
                f"{path}: {key} must be whole numbers, one for each event; "
                f"it is {column.dtype} [{column.length}]"
            )
        columns.append(column)
    return columns


@contextmanager
def _damage_is_a_format_error(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise FormatError(
            f"{path} is not an intact npz: {quoted(error)}; write it again"
        ) from error


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
