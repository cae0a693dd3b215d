"""npy: arrays of numbers in NumPy's .npy layout, read strictly and without trust.

NumPy's own reader allocates what a header claims before it looks for the data, and evaluates the
header as a Python literal. Layout: "NEP 1, A simple file format for NumPy arrays".
"""

from __future__ import annotations

import math
import re
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError

MAGIC: Final = b"\x93NUMPY"
LARGEST: Final = 1 << 30  # bytes of one array; a small archive can claim to unpack to any size
LONGEST_HEADER: Final = 4096
HEADER: Final = re.compile(
    rb"\{'descr': '([<>|=]?\w\d*)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\),? *\}\s*"
)


class NpyHeader(NamedTuple):
    """Element type as NumPy writes it ("<i8", "|O"), memory order and shape."""

    descr: str
    fortran: bool
    shape: tuple[int, ...]


def read_header(name: str, file: IO[bytes]) -> NpyHeader:
    """Read up to where the data begin.

    Raises:
        FormatError: it is no header of a plain array.
    """
    start = file.read(len(MAGIC) + 2)
    width = 2 if start[len(MAGIC) : -1] == b"\x01" else 4
    length = int.from_bytes(file.read(width), "little")
    match = HEADER.fullmatch(file.read(min(length, LONGEST_HEADER)))
    if not start.startswith(MAGIC) or match is None:
        raise FormatError(f"{name} is not an intact array of numbers; write it again")
    shape = tuple(int(side) for side in match[3].decode().replace(",", " ").split())
    return NpyHeader(match[1].decode(), match[2] == b"True", shape)


def read_array(name: str, file: IO[bytes]) -> NDArray[Any]:
    """Read one array of whole or real numbers.

    Raises:
        FormatError: it holds objects, is damaged, or is larger than LARGEST.
    """
    descr, fortran, shape = read_header(name, file)
    if not re.fullmatch(r"[<>|=]?([iu][1248]|f[248]|b1)", descr):
        raise FormatError(f"{name} holds {descr}, not numbers; objects are never loaded")
    dtype = np.dtype(descr)
    size = math.prod(shape) * dtype.itemsize
    if size > LARGEST:
        raise FormatError(f"{name} claims {size} bytes; cut the recording into smaller parts")
    data = file.read(size)
    if len(data) < size:
        raise FormatError(f"{name} is cut off after {len(data)} of {size} bytes; copy it again")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
