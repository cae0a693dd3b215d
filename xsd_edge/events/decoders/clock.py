"""Clock: counters of a few bits that wrap, as time that does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.decoders.words import Unsigned


class Unwrapped:
    """A counter of `bits` bits: a fall by half its range or more is a wrap, a smaller one is none.

    Before the first value is `begin`ned nothing is known: sensors are joined at any time.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self.last: int | None = None  # without wraps

    @property
    def low_bits(self) -> int:
        """The last value as the counter itself says it."""
        assert self.last is not None
        return self.last & ((1 << self._bits) - 1)

    def begin(self, value: int) -> None:
        """The first value there is."""
        self.last = value & ((1 << self._bits) - 1)

    def follow(self, values: Unsigned) -> NDArray[np.int64]:
        """The value known so far, then each of `values` [n]; all without wraps: [n + 1]."""
        assert self.last is not None
        unwrapped = np.empty(len(values) + 1, np.int64)
        unwrapped[0] = self.low_bits
        unwrapped[1:] = values
        unwrapped[1:] &= (1 << self._bits) - 1
        falls = np.diff(unwrapped) <= -(1 << (self._bits - 1))
        loop = self.last >> self._bits
        if falls.any():
            unwrapped[1:] += np.cumsum(falls) << self._bits
        unwrapped += loop << self._bits
        self.last = int(unwrapped[-1])
        return unwrapped
