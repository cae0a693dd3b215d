"""EventGPT's .npy: a pickled dict of arrays p, t, x, y. Sensor size is not in the file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Final

from xsd_edge.errors import FormatError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.columns import columns
from xsd_edge.events.decoders.npy import MAGIC, read_header
from xsd_edge.events.decoders.pickled import pickled_arrays
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Wanted

GEOMETRY: Final = Geometry(640, 480)  # both sensors of EventGPT's data (DSEC, N-ImageNet)


def fits(path: Path, head: bytes) -> bool:
    """Is it a .npy file?"""
    return head.startswith(MAGIC)


def open_file(path: Path, wanted: Wanted) -> Recording:
    """Read the whole window.

    Raises:
        FormatError: it is damaged, is no dict of event arrays, or names anything to be run.
    """
    with path.open("rb") as file:
        if read_header(str(path), file).descr not in ("|O", "O"):
            raise FormatError(
                f"{path} holds one array, not EventGPT's dict of p, t, x, y; save it as .npz"
            )
        arrays = pickled_arrays(str(path), file.read())
    missing = sorted({"t", "x", "y", "p"} - arrays.keys())
    if missing:
        raise FormatError(f"{path} lacks {', '.join(missing)}; EventGPT's dict has p, t, x and y")
    events = columns(str(path), *(arrays[key] for key in ("t", "x", "y", "p")))
    counters = Counters()
    geometry = wanted.geometry or GEOMETRY

    def decoded() -> Generator[EventPacket]:
        yield from Continuity(geometry, counters).packets(*events)

    return Recording(str(path), "npy", geometry, counters, decoded())
