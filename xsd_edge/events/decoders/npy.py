"""npy: arrays of numbers in NumPy's .npy layout, read strictly and without trust.

NumPy's own reader allocates what a header claims before it looks for the data, and evaluates the
header as a Python literal. Layout: "NEP 1, A simple file format for NumPy arrays".
"""

from __future__ import annotations

import math
import re
from typing import IO, Any, Final, Literal, NamedTuple

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
    header = read_header(name, file)
    dtype = _number_type(name, header)
    size = math.prod(header.shape) * dtype.itemsize
    if size > LARGEST:
        raise FormatError(f"{name} claims {size} bytes; cut the recording into smaller parts")
    order: Literal["F", "C"] = "F" if header.fortran else "C"
    return np.frombuffer(_read(name, file, size), dtype).reshape(header.shape, order=order)


class ArrayStream:
    """One array of numbers [n], read in portions, so that it may be of any length.

    Raises:
        FormatError: it holds objects, is damaged, or has not one axis.
    """

    def __init__(self, name: str, file: IO[bytes]) -> None:
        header = read_header(name, file)
        self._name = name
        self._file = file
        self.dtype = _number_type(name, header)
        if len(header.shape) != 1:
            raise FormatError(
                f"{name} must be whole numbers, one for each event; it is {list(header.shape)}"
            )
        (self.length,) = header.shape

    def read(self, count: int) -> NDArray[Any]:
        """The next `count` numbers.

        Raises:
            FormatError: the data end before that.
        """
        return np.frombuffer(_read(self._name, self._file, count * self.dtype.itemsize), self.dtype)


def _number_type(name: str, header: NpyHeader) -> np.dtype[Any]:
    if not re.fullmatch(r"[<>|=]?([iu][1248]|f[248]|b1)", header.descr):
        raise FormatError(f"{name} holds {header.descr}, not numbers; objects are never loaded")
    return np.dtype(header.descr)


def _read(name: str, file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise FormatError(f"{name} is cut off after {len(data)} of {size} bytes; copy it again")
    return data
