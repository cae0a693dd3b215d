"""Formats: which recordings can be read, told by their first bytes, one row each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from xsd_edge.errors import FormatError
from xsd_edge.events.decoders import aedat4, atis_bin, bytefile, eventgpt, hdf5, npz, text
from xsd_edge.events.decoders.encodings import DECODERS
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Wanted

SNIFF: Final = 1 << 16  # bytes


class Format(NamedTuple):
    """`fits` judges a name and the first SNIFF bytes; a user may say one of `encodings` instead."""

    encodings: tuple[str, ...]
    fits: Callable[[Path, bytes], bool]
    open: Callable[[Path, Wanted], Recording]


def _open_bin(path: Path, wanted: Wanted) -> Recording:
    """Which has no header: of the data sets' size, unless the user says another."""
    return bytefile.open_file(path, Wanted("bin", wanted.geometry or atis_bin.GEOMETRY))


# The first row that fits opens it: those with a magic number come first.
FORMATS: Final = (
    Format(tuple(name for name in DECODERS if name != "bin"), bytefile.fits, bytefile.open_file),
    Format(("npz",), npz.fits, npz.open_file),
    Format(("npy",), eventgpt.fits, eventgpt.open_file),
    Format(("aedat4",), aedat4.fits, aedat4.open_file),
    Format(("h5",), hdf5.fits, hdf5.open_file),
    Format(("bin",), atis_bin.fits, _open_bin),
    Format(("csv", "txt"), text.fits, text.open_file),
)
KNOWN: Final = tuple(encoding for row in FORMATS for encoding in row.encodings)


def open_recording(path: Path, wanted: Wanted) -> Recording:
    """Open a regular file by its content, or as what the user says it is.

    Raises:
        FormatError: it is empty, or of no known format.
        SourceError: it does not tell its sensor's size.
        ExtraMissingError: the library that reads it is not installed.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(SNIFF)
    if not head:
        raise FormatError(f"{path} is empty; record it again")
    for row in FORMATS:
        if wanted.encoding in row.encodings or (wanted.encoding is None and row.fits(path, head)):
            return row.open(path, wanted)
    if wanted.encoding is not None:
        raise FormatError(f"unknown format {wanted.encoding!r}; known: {', '.join(KNOWN)}")
    raise FormatError(
        f"{path} is no recording that can be read ({', '.join(KNOWN)}); "
        f"if it is raw data without a header, say {path}?format=evt3&size=640x480"
    )
