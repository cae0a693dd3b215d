"""Convert: a source to a file of another format, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import Geometry
from xsd_edge.events.source import EventSource, FrameTrack
from xsd_edge.events.writers.dat import DAT
from xsd_edge.events.writers.dsec import DsecWriter
from xsd_edge.events.writers.evt2 import EVT2
from xsd_edge.events.writers.evt3 import EVT3
from xsd_edge.events.writers.npz import NpzWriter
from xsd_edge.events.writers.writer import ByteWriter, Writer

WRITERS: Final[dict[str, Callable[[Path, Geometry], Writer]]] = {
    "evt2": partial(ByteWriter, kind=EVT2),
    "evt3": partial(ByteWriter, kind=EVT3),
    "dat": partial(ByteWriter, kind=DAT),
    "npz": NpzWriter,
    "h5": DsecWriter,
}
SUFFIXES: Final = {".raw": "evt3", ".hdf5": "h5", **{f".{name}": name for name in WRITERS}}


def output_format(out: Path, said: str | None) -> str:
    """The format to write: what the user said, else what the file's name does.

    Raises:
        SourceError: neither says one that can be written.
    """
    evt = re.search(r"evt([23])", out.stem.lower()) if out.suffix.lower() == ".raw" else None
    named = f"evt{evt[1]}" if evt else SUFFIXES.get(out.suffix.lower())
    kind = said or named
    if kind not in WRITERS:
        what = f"unknown format {said!r}" if said else f"{out} names no format that can be written"
        raise SourceError(f"{what}; give --format, one of: {', '.join(WRITERS)}")
    return kind


def convert(source: EventSource, out: Path, kind: str, *, force: bool) -> int:
    """Write all of `source` to `out`; how many events that were.

    Raises:
        SourceError: `out` exists and `force` was not given, cannot be written, or the format cannot
            say what the source holds.
    """
    if out.exists() and not force:
        raise SourceError(f"{out} exists; give another name, or --force to replace it")
    partial_file = out.with_name(f"{out.name}.partial")
    with _cannot_write(out), _removed(partial_file):
        writer = WRITERS[kind](partial_file, source.geometry)
        events = 0
        try:
            for packet in source.packets():
                if len(packet):
                    writer.write(packet)
                    events += len(packet)
            if not events:
                raise SourceError("there were no events to convert; give another source")
            frames = source.frames
            writer.finish(frames if isinstance(frames, FrameTrack) else None)
        finally:
            writer.close()
        os.replace(partial_file, out)
    return events


@contextlib.contextmanager
def _cannot_write(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise SourceError(f"cannot write {out}: {why}; give a place with space for it") from error


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
