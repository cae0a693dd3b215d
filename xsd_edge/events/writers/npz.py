"""npz: our own clip files, with frames; see decoders.npz for what is in them."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from xsd_edge.errors import SourceError
from xsd_edge.events.decoders.npy import LARGEST
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import FrameTrack

TYPES: Final = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1"}


class NpzWriter:
    """An array's length stands in front of it, so columns wait in files until it is known."""

    def __init__(self, path: Path, geometry: Geometry) -> None:
        self._path = path
        self._geometry = geometry
        self._count = 0
        self._columns: dict[str, IO[bytes]] = {
            key: tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115  # until close
            for key in TYPES
        }

    def write(self, packet: EventPacket) -> None:
        """Append events."""
        self._count += len(packet)
        for key, file in self._columns.items():
            file.write(getattr(packet, key).astype(TYPES[key]).data)

    def finish(self, frames: FrameTrack | None) -> None:
        """Pack the columns, the sensor's size and the frames.

        Raises:
            SourceError: the frames are more than one clip may have.
        """
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for key, column in self._columns.items():
                column.seek(0)
                with _member(archive, key, TYPES[key], (self._count,)) as member:
                    shutil.copyfileobj(column, member, 1 << 20)
            for key in ("width", "height"):
                with _member(archive, key, "<i8", ()) as member:
                    member.write(np.int64(getattr(self._geometry, key)).tobytes())
            if frames is not None:
                _write_frames(archive, frames)

    def close(self) -> None:
        for file in self._columns.values():
            file.close()


def _write_frames(archive: zipfile.ZipFile, frames: FrameTrack) -> None:
    count = len(frames.t_us)
    first = frames.images[0]
    if count * first.nbytes > LARGEST:
        raise SourceError(
            f"{count} frames are more than an npz may hold; cut the recording into smaller parts"
        )
    with _member(archive, "frames_t_us", "<i8", (count,)) as member:
        member.write(frames.t_us.astype("<i8").tobytes())
    with _member(archive, "frames", "|u1", (count, *first.shape)) as member:
        for index in range(count):
            member.write(np.ascontiguousarray(frames.images[index]).data)


def _member(archive: zipfile.ZipFile, key: str, descr: str, shape: tuple[int, ...]) -> IO[bytes]:
    """A new member, its array's header written."""
    header = io.BytesIO()
    described: dict[str, Any] = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    info = zipfile.ZipInfo(f"{key}.npy")  # without today's date: equal clips are equal files
    info.compress_type = zipfile.ZIP_DEFLATED
    member = archive.open(info, "w", force_zip64=True)
    member.write(header.getvalue())
    return member
