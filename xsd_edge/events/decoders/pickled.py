"""Pickled arrays: reads a pickled dict of arrays without running or importing what it names.

A pickle is a program. This one may only use the opcodes that plain data need, and the names that a
NumPy array is made of; those are bound to stand-ins of ours that merely keep what they are given.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.quoting import quoted

# fmt: off
DATA_OPCODES: Final = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1",
    "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "BINPUT",
    "LONG_BINPUT", "BINGET", "LONG_BINGET", "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
))
# fmt: on
MEMO_OPCODES: Final = ("BINPUT", "LONG_BINPUT")
MOST: Final = (
    10_000  # opcodes and memo entries; four arrays take 150. Python allocates any memo asked
)
NUMBERS: Final = frozenset(("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "b1"))
ORDERS: Final = ("<", ">", "|", "=")


class _Dtype:
    """Stands in for numpy.dtype."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands in for numpy.ndarray: shape, element type and the bytes or list of its content."""

    def __init__(self, *_: object) -> None:
        self.shape: tuple[int, ...] = ()
        self.dtype = _Dtype("")
        self.content: object = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, _, self.content = state

    def number_array(self) -> NDArray[Any]:
        dtype = self.dtype
        if dtype.code not in NUMBERS or dtype.order not in ORDERS:
            raise ValueError(f"it has an array of {dtype.code!r}")
        if not isinstance(self.content, bytes):
            raise ValueError("it has an array without numbers")
        flat = np.frombuffer(self.content, dtype.order + dtype.code)
        return flat.reshape(self.shape)


STAND_INS: Final = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return STAND_INS[module, name]


def pickled_arrays(name: str, data: bytes) -> dict[str, NDArray[Any]]:
    """Arrays of whole numbers of a pickled dict, itself in an object array as `np.save` writes it.

    Raises:
        FormatError: it is anything else, or damaged. Nothing of it has been run.
    """
    try:
        _check_opcodes(data)
        outer = _Reader(io.BytesIO(data)).load()
        (inner,) = outer.content
        return {key: value.number_array() for key, value in inner.items()}
    except Exception as error:  # a damaged pickle can raise anything
        raise FormatError(
            f"{name} is refused: {quoted(error)}; only a dict of p, t, x, y is read"
        ) from error


def _check_opcodes(data: bytes) -> None:
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in DATA_OPCODES:
            raise pickle.UnpicklingError(f"it uses {opcode.name}")
        memo = opcode.name in MEMO_OPCODES and (argument or 0) > MOST
        if number > MOST or memo:
            raise pickle.UnpicklingError("it is not just four arrays")
