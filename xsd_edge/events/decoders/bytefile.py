"""Byte files: recordings that are a stream of bytes, with or without a header that says so."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

from xsd_edge.errors import SourceError
from xsd_edge.events.decoders.encodings import Decoder, choose, open_decoder
from xsd_edge.events.decoders.header import LONGEST_HEADER, LONGEST_LINE, Header
from xsd_edge.events.packet import Counters, EventPacket
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Wanted

CHUNK: Final = 1 << 18  # bytes


def fits(path: Path, head: bytes) -> bool:
    """Does it begin with a header that names an encoding?"""
    return Header.parse(head).encoding is not None


def open_file(path: Path, wanted: Wanted) -> Recording:
    """A recording with a header, or without one if the user said what it is."""
    with path.open("rb") as file:
        header = Header.parse(file.read(LONGEST_HEADER + LONGEST_LINE))
        size = os.fstat(file.fileno()).st_size
    encoding, geometry = choose(str(path), header, wanted, default=None)
    counters = Counters()
    decoder = open_decoder(encoding, header, geometry, counters, size)
    decoded = _decoded(path, header.length, decoder)
    return Recording(str(path), encoding, geometry, counters, decoded)


def _decoded(path: Path, start: int, decoder: Decoder) -> Generator[EventPacket]:
    try:
        with path.open("rb") as file:
            file.seek(start)
            while data := file.read(CHUNK):
                yield from decoder.feed(data)
    except OSError as error:
        raise SourceError(f"cannot read {path} on: {error.strerror}; copy it and retry") from error
    decoder.finish()
