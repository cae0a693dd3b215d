"""Foreign event columns are converted where they are right and refused where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.events.encoders import rows
from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.columns import columns
from xsd_edge.events.packet import EventPacket

GOOD: dict[str, NDArray[Any]] = {
    "t": np.array([1, 2, 2], np.int64),
    "x": np.array([0, 639, 5], np.uint16),
    "y": np.array([0, 479, 5], np.uint16),
    "p": np.array([0, 1, 1], np.uint8),
}


@pytest.mark.parametrize("p", [[0, 1, 1], [-1, 1, 1], [False, True, True]])
@pytest.mark.parametrize("dtype", ["<i4", ">u8", "<u2"])
def test_types_are_widened(p: list[int], dtype: str) -> None:
    found = columns("a", GOOD["t"].astype(dtype), GOOD["x"], GOOD["y"].astype(dtype), np.array(p))
    assert rows(EventPacket(*found)) == [(1, 0, 0, 0), (2, 639, 479, 1), (2, 5, 5, 1)]
    assert [column.dtype.str for column in found] == ["<i8", "<u2", "<u2", "|u1"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"t": np.array([1, 2])}, "one for each event"),
        ({"x": np.array([[0, 1, 2]])}, "one for each event"),
        ({"t": np.array([0.1, 0.2, 0.3])}, "whole numbers"),
        ({"x": np.array([0, -1, 2])}, "allowed: 0 to"),
        ({"y": np.array([0, 70_000, 2])}, "allowed: 0 to"),
        ({"p": np.array([0, 1, 2])}, "allowed: -1 to 1"),
        ({"t": np.array([0, 1, 2**63], np.uint64)}, "allowed"),
        ({"t": np.array([0, 65_000, 3], np.uint16)}, "save t as int64"),
        ({key: np.array([], np.int64) for key in "txyp"}, "no events"),
    ],
)
def test_wrong_columns_are_refused(changed: dict[str, NDArray[Any]], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        columns("a", **{**GOOD, **changed})
