"""Prophesee: which byte encodings there are, and files and streams that may begin with a header."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, Protocol

from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.decoders.evt2 import Evt2Decoder
from xsd_edge.events.decoders.evt3 import Evt3Decoder
from xsd_edge.events.decoders.header import LONGEST_HEADER, LONGEST_LINE, Header
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Wanted

CHUNK: Final = 1 << 18  # bytes


class Decoder(Protocol):
    """Turns bytes, in portions of any size, into packets; it keeps what a portion leaves over."""

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""

    def finish(self) -> None:
        """The bytes have ended; note whether in the middle of a word."""


DECODERS: Final[dict[str, Callable[[Geometry, Counters], Decoder]]] = {
    "evt2": Evt2Decoder,
    "evt3": Evt3Decoder,
}


def fits(path: Path, head: bytes) -> bool:
    """Does it begin with a header that names an encoding?"""
    return Header.parse(head).encoding is not None


def choose(name: str, header: Header, wanted: Wanted, default: str | None) -> tuple[str, Geometry]:
    """Encoding and sensor size: what the user said, else what the header says.

    Raises:
        FormatError: the encoding is unknown.
        SourceError: the size is.
    """
    encoding = wanted.encoding or header.encoding or default
    if encoding not in DECODERS:
        raise FormatError(
            f"{name} is {encoding or 'in an unknown format'}, which cannot be read; "
            f"convert it to one of: {', '.join(DECODERS)}"
        )
    geometry = wanted.geometry or header.geometry
    if geometry is None:
        raise SourceError(f"{name} does not tell its sensor's size; add it: {name}?size=640x480")
    return encoding, geometry


def open_file(path: Path, wanted: Wanted) -> Recording:
    """A recording with a header, or without one if the user said what it is."""
    with path.open("rb") as file:
        header = Header.parse(file.read(LONGEST_HEADER + LONGEST_LINE))
    encoding, geometry = choose(str(path), header, wanted, default=None)
    counters = Counters()
    decoder = DECODERS[encoding](geometry, counters)
    return Recording(str(path), geometry, counters, _decoded(path, header.length, decoder))


def _decoded(path: Path, start: int, decoder: Decoder) -> Generator[EventPacket]:
    try:
        with path.open("rb") as file:
            file.seek(start)
            while data := file.read(CHUNK):
                yield from decoder.feed(data)
    except OSError as error:
        raise SourceError(f"cannot read {path} on: {error.strerror}; copy it and retry") from error
    decoder.finish()
