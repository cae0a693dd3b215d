"""DSEC's HDF5: /events/{t,x,y,p}, /ms_to_idx, /t_offset; compressed as DSEC's own files are.

ms_to_idx[m] is the first event at or after m milliseconds. The sensor's size, which DSEC does not
tell, stands in the root's attributes width and height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from xsd_edge.errors import ExtraMissingError, SourceError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import FrameTrack

TYPES: Final = {"t": "<u4", "x": "<u2", "y": "<u2", "p": "|u1"}
CHUNK: Final = 1 << 16  # events
LONGEST_US: Final = 1 << 32


class DsecWriter:
    """Appends to the four columns; the index is kept in memory, 8 bytes a millisecond."""

    def __init__(self, path: Path, geometry: Geometry) -> None:
        try:
            import h5py
            import hdf5plugin
        except ModuleNotFoundError as error:
            raise ExtraMissingError("writing HDF5", "h5") from error
        self._file = h5py.File(path, "w")
        self._file.attrs["width"], self._file.attrs["height"] = geometry.width, geometry.height
        packed = hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE)
        self._columns = {
            key: self._file.create_dataset(
                f"events/{key}", (0,), dtype, maxshape=(None,), chunks=(CHUNK,), **packed
            )
            for key, dtype in TYPES.items()
        }
        self._index: list[np.typing.NDArray[np.int64]] = []
        self._next_ms = 0  # the first one not in the index
        self._offset: int | None = None
        self._last = 0
        self._count = 0

    def write(self, packet: EventPacket) -> None:
        """Append events.

        Raises:
            SourceError: time runs back, or the recording is longer than 71 minutes.
        """
        if self._offset is None:
            self._offset = int(packet.t[0])
        t = packet.t - self._offset
        if t[0] < self._last or t[-1] >= LONGEST_US:
            raise SourceError(
                "DSEC's layout has no place for time that runs back or 71 minutes on; "
                "convert to npz instead"
            )
        self._last = int(t[-1])
        ms = np.arange(self._next_ms, self._last // 1000 + 1)
        self._index.append(np.searchsorted(t, ms * 1000) + self._count)
        self._next_ms += len(ms)
        for key, column in self._columns.items():
            column.resize((self._count + len(packet),))
            column[self._count :] = t if key == "t" else getattr(packet, key)
        self._count += len(packet)

    def finish(self, frames: FrameTrack | None) -> None:
        """Write the index; frames have no place in this file."""
        assert self._offset is not None  # a source without events is an error before this
        self._file["ms_to_idx"] = np.concatenate(self._index).astype("<u8")
        self._file["t_offset"] = np.int64(self._offset)
        self._file.close()

    def close(self) -> None:
        self._file.close()
