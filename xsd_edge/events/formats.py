"""Formats: which recordings can be read, told by their first bytes, one row each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from xsd_edge.errors import FormatError
from xsd_edge.events.decoders import eventgpt, npz, prophesee
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Wanted

SNIFF: Final = 1 << 16  # bytes


class Format(NamedTuple):
    """`fits` judges a name and the first SNIFF bytes; a user may say one of `encodings` instead."""

    encodings: tuple[str, ...]
    fits: Callable[[Path, bytes], bool]
    open: Callable[[Path, Wanted], Recording]


FORMATS: Final = (
    Format(tuple(prophesee.DECODERS), prophesee.fits, prophesee.open_file),
    Format(("npz",), npz.fits, npz.open_file),
    Format(("npy",), eventgpt.fits, eventgpt.open_file),
)


def open_recording(path: Path, wanted: Wanted) -> Recording:
    """Open a regular file by its content, or as what the user says it is.

    Raises:
        FormatError: it is empty, or of no known format.
        SourceError: it does not tell its sensor's size.
        OSError: it cannot be read.
    """
    known = [encoding for row in FORMATS for encoding in row.encodings]
    with path.open("rb") as file:
        head = file.read(SNIFF)
    if not head:
        raise FormatError(f"{path} is empty; record it again")
    for row in FORMATS:
        if wanted.encoding in row.encodings or (wanted.encoding is None and row.fits(path, head)):
            return row.open(path, wanted)
    if wanted.encoding is not None:
        raise FormatError(f"unknown format {wanted.encoding!r}; known: {', '.join(known)}")
    raise FormatError(
        f"{path} is no recording that can be read ({', '.join(known)}); "
        f"if it is raw data without a header, say {path}?format=evt3&size=640x480"
    )
