"""A pickle of arrays is read; a pickle that does anything else is refused and has done nothing."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.events.judging import judged_refusal, little_allocated
from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.pickled import pickled_arrays

ARRAYS: dict[str, NDArray[Any]] = {
    "p": np.array([0, 1, 1], np.uint8),
    "t": np.array([1, 2, 3], np.int64),
    "x": np.array([7, 8, 9], np.uint16),
    "y": np.array([4, 5, 6], ">u2"),
}


def pickled(content: object, protocol: int = 4) -> bytes:
    """As np.save writes an object array that holds `content`."""
    box = np.empty((), object)
    box[()] = content
    return pickle.dumps(box, protocol)


@pytest.mark.parametrize("protocol", [3, 4])  # what np.save has used
def test_arrays_come_back(protocol: int) -> None:
    found = pickled_arrays("a", pickled(ARRAYS, protocol))
    assert found.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        assert np.array_equal(found[key], array)


class _Runs:
    """Pickles into a call."""

    def __init__(self, call: object, *arguments: object) -> None:
        self._call = (call, arguments)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("place", ["alone", "as value", "as key"])
def test_calls_are_never_made(tmp_path: Path, place: str) -> None:
    mark = tmp_path / "ran"
    for bomb in (_Runs(os.mkdir, str(mark)), _Runs(eval, f"__import__('os').mkdir({str(mark)!r})")):
        content: object = bomb
        if place == "as value":
            content = {**ARRAYS, "t": bomb}
        elif place == "as key":
            content = {bomb: 1}
        with pytest.raises(FormatError, match="refused: it names"):
            pickled_arrays("a", pickled(content))
        with pytest.raises(FormatError, match="refused"):
            pickled_arrays("a", pickle.dumps(content))
        with pytest.raises(FormatError, match="refused"):
            pickled_arrays("a", pickle.dumps(content, 0))
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        [1, 2],
        {"t": 5},
        {"t": np.array([0.5])},
        {"t": np.array(["text"])},
        {"t": np.array([None])},
        {"t": np.zeros(2, "i4,i4")},
    ],
)
def test_other_content_is_refused_or_empty(content: object) -> None:
    if content == {}:
        assert pickled_arrays("a", pickled(content)) == {}
        return
    with pytest.raises(FormatError, match="only a dict of p, t, x, y"):
        pickled_arrays("a", pickled(content))


def test_claims_are_not_believed() -> None:
    """Python's unpickler allocates the memo slot and the byte string that a pickle asks for."""
    asks = [
        b"\x80\x04Nr\xff\xff\xff\x7f.",  # LONG_BINPUT
        b"\x80\x04B\xff\xff\xff\x7f.",  # BINBYTES without the bytes
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",  # BINBYTES8
        b"\x80\x04\x95" + b"\xff" * 7 + b"\x7fN.",  # FRAME
        b"\x80\x04" + b"N0" * 20_000 + b"N.",
    ]
    for data in asks:
        with little_allocated(), pytest.raises(FormatError):
            pickled_arrays("a", data)


def test_build_cannot_reach_our_classes() -> None:
    """BUILD sets attributes of whatever lies on the stack; here the class itself."""
    data = b"\x80\x04cnumpy\nndarray\n}\x8c\x01aK\x01sb."
    with pytest.raises(FormatError):
        pickled_arrays("a", data)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=4), st.integers(0, 700)
)
def test_damage_is_refused_or_harmless(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(pickled(ARRAYS))
    for at, byte in changes:
        data[at % len(data)] = byte
    for damaged in (bytes(data), bytes(data[:length])):
        try:
            with little_allocated(1 << 20):
                arrays = pickled_arrays("a", damaged)
        except FormatError as error:
            judged_refusal(error)
            continue
        for array in arrays.values():  # made of the file's own bytes, and of nothing else
            assert array.dtype.kind in "iub"
            assert array.tobytes() in damaged
