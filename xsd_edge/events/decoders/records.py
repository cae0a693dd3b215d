"""Records: cuts a byte stream into the fixed-size records of formats that have no words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import Counters


class RecordCutter:
    """Whole records out of byte portions of any size.

    A record says nothing that could tell where one begins, so a byte lost stays lost: what it makes
    of the rest lies outside the sensor or runs back in time, and is counted there.
    """

    def __init__(self, dtype: np.dtype[Any], counters: Counters) -> None:
        self._dtype = dtype
        self._counters = counters
        self._rest = b""

    def feed(self, data: bytes) -> NDArray[Any]:
        """Records that `data` completes, [n]."""
        data = self._rest + data if self._rest else data
        count = len(data) // self._dtype.itemsize
        self._rest = data[count * self._dtype.itemsize :]
        return np.frombuffer(data, self._dtype, count)

    def finish(self) -> None:
        """The stream has ended."""
        self._counters.truncated |= bool(self._rest)
