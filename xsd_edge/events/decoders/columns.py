"""Columns: arrays t, x, y, p that somebody else wrote, checked and brought to our types."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError

LATEST: Final = 1 << 62  # microseconds; differences of times still fit int64


class Columns(NamedTuple):
    """Events as columns, each [n]; p is 0 or 1."""

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.uint8]


class ColumnReader:
    """Takes a recording's columns in portions; `name` is what messages call it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last: int | None = None  # time of the event before

    def __call__(
        self, t: NDArray[Any], x: NDArray[Any], y: NDArray[Any], p: NDArray[Any]
    ) -> Columns:
        """Check and convert; polarity may also be a truth value or -1 and 1.

        Raises:
            FormatError: lengths or types differ from what events have, or values are out of range.
        """
        self._check_types({"t": t, "x": x, "y": y, "p": p})
        if not len(t):
            raise FormatError(f"{self._name} holds no events; record it again")
        for key, array, least, most in (
            ("t", t, -LATEST, LATEST),
            ("x", x, 0, 0xFFFF),
            ("y", y, 0, 0xFFFF),
            ("p", p, -1, 1),
        ):
            low, high = int(array.min()), int(array.max())
            if low < least or high > most:
                raise FormatError(
                    f"{self._name}: {key} runs from {low} to {high}; allowed: {least} to {most}"
                )
        times = t.astype(np.int64)
        before = times[0] if self._last is None else self._last
        if t.dtype == np.uint16 and (np.diff(times, prepend=before) < 0).any():
            raise FormatError(
                f"{self._name}: its 16-bit times run over at 65.5 ms; save t as int64"
            )
        self._last = int(times[-1])
        return Columns(times, x.astype(np.uint16), y.astype(np.uint16), (p > 0).astype(np.uint8))

    def _check_types(self, given: dict[str, NDArray[Any]]) -> None:
        for key, array in given.items():
            if array.ndim != 1 or array.dtype.kind not in "iub" or len(array) != len(given["t"]):
                raise FormatError(
                    f"{self._name}: {key} must be whole numbers, one for each event; "
                    f"it is {array.dtype} {list(array.shape)}"
                )


def columns(
    name: str, t: NDArray[Any], x: NDArray[Any], y: NDArray[Any], p: NDArray[Any]
) -> Columns:
    """All of a recording's columns at once; see `ColumnReader`."""
    return ColumnReader(name)(t, x, y, p)
