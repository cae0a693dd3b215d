"""HDF5: recordings in the layouts of DSEC, M3ED and Prophesee; read by h5py.

Runs in a child process (see isolated). DSEC: /events/{t,x,y,p}, absolute time t + /t_offset. M3ED:
/prophesee/left/{t,x,y,p}, frames in /ovc/rgb/data at /ovc/ts. Prophesee: /CD/events, one compound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.isolated import open_isolated
from xsd_edge.events.decoders.quoting import quoted
from xsd_edge.events.decoders.reader import Alive, Counts, Events, Survey
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Wanted

if TYPE_CHECKING:
    import h5py

MAGIC: Final = b"\x89HDF\r\n\x1a\n"
WHAT, EXTRA = "reading HDF5", "h5"
BLOCK: Final = 1 << 17  # events read at once
ECF_FILTER: Final = 36559  # Prophesee's codec, not among hdf5plugin's
LARGEST_CHUNK: Final = 1 << 28  # bytes
MOST_PACKED: Final = 1 << 14  # no codec packs events into a smaller part of their size
COLUMNS: Final = ("t", "x", "y", "p")


class Layout(NamedTuple):
    """Where events are: a group of columns, or one compound; `size` where the file tells none."""

    events: str
    size: tuple[int, int]
    t_offset: str | None = None
    resolution: str | None = None
    frames: tuple[str, str] | None = None  # images and their times


LAYOUTS: Final = (
    Layout("events", (640, 480), t_offset="t_offset"),  # DSEC
    Layout(
        "prophesee/left",
        (1280, 720),
        resolution="prophesee/left/calib/resolution",
        frames=("ovc/rgb/data", "ovc/ts"),
    ),
    Layout("CD/events", (0, 0)),
)


def fits(path: Path, head: bytes) -> bool:
    """Does it begin as HDF5 does?"""
    return head.startswith(MAGIC)


def open_file(path: Path, wanted: Wanted) -> Recording:
    """A recording in one of LAYOUTS."""
    return open_isolated("h5", path, wanted)


def survey(path: Path, alive: Alive) -> Survey:
    """Sensor size, from the file or as the layout's cameras have it; times of the frames."""
    with _open(path) as file:
        layout = _layout(path, file)
        width, height = _size(file, layout)
        times = np.empty(0, np.int64)
        if layout.frames is not None and all(key in file for key in layout.frames):
            images, stamps = (file[key] for key in layout.frames)
            _check(path, images)
            _check(path, stamps)
            times = stamps[:]
            if len(times) != len(images) or images.shape[3:] != (3,) or images.dtype != np.uint8:
                raise FormatError(f"{path}: its frames are not uint8 [T, H, W, 3], one a time")
        return Survey(width, height, times.astype(np.int64), False)


def events(path: Path, alive: Alive) -> Iterator[Events | Counts]:
    """All events, in blocks."""
    with _open(path) as file:
        layout = _layout(path, file)
        found = file[layout.events]
        columns = _columns(path, found)
        offset = 0
        if layout.t_offset is not None and layout.t_offset in file:
            offset = int(file[layout.t_offset][()])
        for at in range(0, len(columns[0]), BLOCK):
            if len(columns) == 1:
                block = columns[0][at : at + BLOCK]
                t, x, y, p = (block[key] for key in COLUMNS)
            else:
                t, x, y, p = (column[at : at + BLOCK] for column in columns)
            yield Events(t.astype(np.int64) + offset, x, y, p)
    yield Counts(0, 0, False)


def frames(path: Path, first: int, alive: Alive) -> Iterator[NDArray[np.uint8]]:
    """M3ED's colour camera."""
    with _open(path) as file:
        layout = _layout(path, file)
        assert layout.frames is not None  # else nobody asks
        images = file[layout.frames[0]]
        for index in range(first, len(images)):
            yield images[index]


def _open(path: Path) -> h5py.File:
    import h5py
    import hdf5plugin  # noqa: F401  # registers its codecs by being imported

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FormatError(
            f"{path} cannot be opened as HDF5: {quoted(error)}; "
            "a file whose recorder was killed is lost"
        ) from error


def _layout(path: Path, file: h5py.File) -> Layout:
    for layout in LAYOUTS:
        if layout.events in file:
            return layout
    names: list[str] = []
    file.visit(names.append)
    raise FormatError(
        f"{path} has none of {', '.join('/' + layout.events for layout in LAYOUTS)}, "
        f"but {quoted(', '.join(names[:8])) or 'nothing'}; convert it to DSEC's layout"
    )


def _columns(path: Path, found: h5py.Group | h5py.Dataset) -> list[h5py.Dataset]:
    """t, x, y and p as datasets of one length, or one compound that has them all."""
    compound = found.dtype.names if hasattr(found, "dtype") else None
    missing = [key for key in COLUMNS if key not in (compound or found)]
    if missing:
        raise FormatError(f"{path} lacks {', '.join(missing)}; events are t, x, y and p")
    columns = [found] if compound else [found[key] for key in COLUMNS]
    for column in columns:
        _check(path, column)
        if column.shape != columns[0].shape or len(column.shape) != 1:
            raise FormatError(f"{path}: t, x, y and p must have one length")
    return columns


def _check(path: Path, dataset: h5py.Dataset) -> None:
    """Refuse what cannot be decoded, and sizes that the file cannot hold."""
    import h5py

    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    if ECF_FILTER in filters and not h5py.h5z.filter_avail(ECF_FILTER):
        raise FormatError(
            f"{path} is packed with Prophesee's ECF codec; set HDF5_PLUGIN_PATH to its plug-in, "
            "or convert it with metavision_hdf5_to_raw"
        )
    chunk = int(np.prod(dataset.chunks or (0,), dtype=object)) * dataset.dtype.itemsize
    if chunk > LARGEST_CHUNK or dataset.nbytes > MOST_PACKED * (dataset.id.get_storage_size() + 1):
        raise FormatError(f"{path} claims {dataset.nbytes} bytes of {dataset.name}; copy it again")


def _size(file: h5py.File, layout: Layout) -> tuple[int, int]:
    attributes: dict[str, Any] = dict(file.attrs)
    if "width" in attributes and "height" in attributes:
        return int(attributes["width"]), int(attributes["height"])
    said = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(attributes.get("geometry", "")))
    if said is not None:
        return int(said[1]), int(said[2])
    if layout.resolution is not None and layout.resolution in file:
        width, height = file[layout.resolution][:2]
        return int(width), int(height)
    return layout.size
