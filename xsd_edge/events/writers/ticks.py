"""Ticks: where a stream of words must say the high part of time anew."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError

STEPS: Final = 4  # said per period in a silence, so that no reader misses a wrap


class Stretch(NamedTuple):
    """Events lo <= index < hi, whose high parts rise slowly; `before` is said ahead of them."""

    lo: int
    hi: int
    before: list[int]


class Ticks:
    """High parts of `bits` bits that a decoder can follow; `name` is the format's."""

    def __init__(self, name: str, bits: int) -> None:
        self._name = name
        self._bits = bits
        self._last: int | None = None

    def stretches(self, high: NDArray[np.int64]) -> Iterator[Stretch]:
        """Divide events with these high parts, [n], at least one; each stretch begins with a word.

        Raises:
            SourceError: time runs back further than the format can say.
        """
        leap = (1 << self._bits) // STEPS
        steps = np.diff(high, prepend=high[0] if self._last is None else self._last)
        jump = (steps < 0) | (steps > leap)
        jump[0] |= self._last is None
        for lo, hi in pairwise([0, *np.flatnonzero(jump).tolist(), len(high)]):
            if lo == hi:  # the first event is a jump
                continue
            yield Stretch(lo, hi, self._way(int(high[lo])) if jump[lo] else [])
            self._last = int(high[hi - 1])

    def _way(self, new: int) -> list[int]:
        """What is said on the way to `new`, so that every wrap shows; itself is the last."""
        last, period = self._last, 1 << self._bits
        if last is None:
            return [new]
        if new < last:
            if last - new >= period // 2 or last - new > last % period or new < 0:
                raise SourceError(
                    f"time runs back by more than {self._name} can say; convert to npz instead"
                )
            return [new]
        step = period // STEPS
        ticks = {at * step for at in range(last // step + 1, new // step + 1)}
        ticks |= {at * period - 1 for at in range(last // period + 1, new // period + 1)}
        return sorted(ticks - {last} | {new})
