"""Plain arrays are read as NumPy writes them; everything else is refused before memory is taken."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.events.judging import judged_refusal, little_allocated
from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.npy import read_array, read_header


def saved(array: NDArray[Any], *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(5),
        np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
        np.array(640),
        np.zeros((2, 0, 3), ">f4"),
        np.array([True, False]),
    ],
)
def test_round_trip(array: NDArray[Any]) -> None:
    found = read_array("a", io.BytesIO(saved(array)))
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


def test_objects_and_records_are_refused() -> None:
    with pytest.raises(FormatError, match="never loaded"):
        read_array("a", io.BytesIO(saved(np.array([None]), pickled=True)))
    with pytest.raises(FormatError, match="write it again"):
        read_array("a", io.BytesIO(saved(np.zeros(2, "i4,i4"))))
    with pytest.raises(FormatError, match="not numbers"):
        read_array("a", io.BytesIO(saved(np.array(["text"]))))


def test_claims_are_not_believed() -> None:
    huge = saved(np.zeros(5, np.int64)).replace(b"(5,), }", b"(5" + b"0" * 5 + b",),}")
    with little_allocated():
        with pytest.raises(FormatError, match="cut off"):
            read_array("a", io.BytesIO(huge))
        with pytest.raises(FormatError, match="smaller parts"):
            read_array("a", io.BytesIO(huge.replace(b"500000", b"9" * 12)))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 140), st.integers(0, 255), st.integers(0, 170))
def test_damage_is_refused_or_harmless(at: int, byte: int, length: int) -> None:
    data = bytearray(saved(np.arange(5)))
    data[at] = byte
    for damaged in (bytes(data), bytes(data[:length])):
        try:
            with little_allocated(1 << 20):
                array = read_array("a", io.BytesIO(damaged))
        except FormatError as error:
            judged_refusal(error)
            continue
        file = io.BytesIO(damaged)
        read_header("a", file)
        # Nothing but what stands behind the header, and all that the header asks for.
        assert array.tobytes() == file.read(array.nbytes)
        if damaged[: file.tell() - array.nbytes] == saved(np.arange(5))[:128]:
            assert array.dtype == np.int64
            assert array.shape == (5,)


def test_header_versions() -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(3), version=(2, 0))
    file.seek(0)
    assert read_header("a", file).shape == (3,)
