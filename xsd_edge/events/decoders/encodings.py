"""Encodings: every format that decodes as a stream of bytes, by name, and which one a source is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.decoders.atis_bin import AtisBinDecoder
from xsd_edge.events.decoders.dat import DatDecoder
from xsd_edge.events.decoders.es import EsDecoder
from xsd_edge.events.decoders.evt2 import Evt2Decoder
from xsd_edge.events.decoders.evt3 import Evt3Decoder
from xsd_edge.events.decoders.evt3_loop import fastest_evt3
from xsd_edge.events.decoders.evt21 import Evt21Decoder
from xsd_edge.events.decoders.header import Header
from xsd_edge.events.decoders.quoting import quoted
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import Wanted


class Decoder(Protocol):
    """Turns bytes, in portions of any size, into packets; it keeps what a portion leaves over."""

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""

    def finish(self) -> None:
        """The bytes have ended; note whether in the middle of a word."""


WORTH_COMPILING: Final = 1 << 25  # bytes of EVT3 that are decoded while numba is being loaded

# After a disconnection make a new one: a decoder's state is one connection's.
DECODERS: Final[dict[str, Callable[[Geometry, Counters], Decoder]]] = {
    "evt2": Evt2Decoder,
    "evt21": Evt21Decoder,
    "evt21-legacy": partial(Evt21Decoder, legacy=True),
    "evt3": fastest_evt3,
    "dat": DatDecoder,
    "bin": AtisBinDecoder,
    "es": EsDecoder,
}


def choose(name: str, header: Header, wanted: Wanted, default: str | None) -> tuple[str, Geometry]:
    """Encoding and sensor size: what the user said, else what the header says.

    Raises:
        FormatError: the encoding is unknown.
        SourceError: the size is.
    """
    encoding = wanted.encoding or header.encoding or default
    if encoding not in DECODERS:
        raise FormatError(
            f"{name} is {quoted(encoding or 'in an unknown format')}, which cannot be read; "
            f"convert it to one of: {', '.join(DECODERS)}"
        )
    geometry = wanted.geometry or header.geometry
    if geometry is None:
        raise SourceError(f"{name} does not tell its sensor's size; add it: {name}?size=640x480")
    return encoding, geometry


def open_decoder(
    encoding: str, header: Header, geometry: Geometry, counters: Counters, size: float = math.inf
) -> Decoder:
    """A new decoder for `size` bytes; its times are absolute where the header tells their zero."""
    small = encoding == "evt3" and size < WORTH_COMPILING
    decoder = (Evt3Decoder if small else DECODERS[encoding])(geometry, counters)
    return _Since(decoder, header.t0_us) if header.t0_us else decoder


class _Since:
    """A decoder's events, all of them later by the same time."""

    def __init__(self, decoder: Decoder, t0_us: int) -> None:
        self._decoder = decoder
        self._t0_us = t0_us

    def feed(self, data: bytes) -> list[EventPacket]:
        return [replace(part, t=part.t + self._t0_us) for part in self._decoder.feed(data)]

    def finish(self) -> None:
        self._decoder.finish()
