"""Words: cuts a byte stream into the words of Prophesee's formats; finds word boundaries again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import Counters

T = TypeVar("T", bound=np.generic)
Unsigned: TypeAlias = NDArray[np.unsignedinteger[Any]]

BLOCK: Final = 1 << 16  # words decoded at once, so that temporary arrays stay in the cache
TOLERATED: Final = 7  # unknown words among SPAN words; one more and the boundary is lost
SPAN: Final = 64
HUNT: Final = 1 << 13  # bytes searched at once for the boundary


class Words(NamedTuple):
    """Consecutive words and their kinds (the four highest bits), both [n]."""

    words: Unsigned
    kinds: Unsigned


def held(values: NDArray[T], at: NDArray[np.intp], upto: NDArray[np.intp]) -> NDArray[T]:
    """For each event the value that holds there: the state before, or that of the last word `at`.

    values [k + 1], at [k] word positions, upto [words] number of events up to and with each word.
    """
    borders = np.concatenate(([0], upto[at], upto[-1:]))
    return np.repeat(values, np.diff(borders))


class WordCutter:
    """Little-endian words of one size out of byte portions of any size.

    A byte too many or too few would turn the whole rest of a stream into garbage. So where more
    than TOLERATED of SPAN words are of no known kind, bytes are skipped up to the next SPAN known
    words in a row, at any alignment. Where that happens does not depend on the portions.
    """

    def __init__(self, dtype: str, unknown: Iterable[int], counters: Counters) -> None:
        self._dtype = np.dtype(dtype)
        self._size = self._dtype.itemsize
        self._shift = self._dtype.type(self._size * 8 - 4)
        self._unknown = self._dtype.type(sum(1 << kind for kind in unknown))
        self._counters = counters
        self._rest = b""
        self._position = 0  # words since the boundary was last found
        self._odd = np.empty(0, np.intp)  # positions of the latest unknown words
        self._lost = False

    def feed(self, data: bytes) -> Iterator[Words]:
        """Words that `data` completes, at most BLOCK at a time."""
        data, offset = (self._rest + data if self._rest else data), 0
        while True:
            if self._lost:
                offset = self._hunt(data, offset)
            count = min((len(data) - offset) // self._size, BLOCK)
            if self._lost or not count:
                break
            words = np.frombuffer(data, self._dtype, count, offset)
            kinds = words >> self._shift
            count = self._sane(kinds)
            offset += count * self._size
            yield Words(words[:count], kinds[:count])
        self._rest = data[offset:]

    def finish(self) -> None:
        """The stream has ended."""
        self._counters.truncated |= bool(self._rest)

    def _sane(self, kinds: Unsigned) -> int:
        """How many words come before the boundary is lost; all of them if it is not."""
        unknown = (self._unknown >> kinds) & self._dtype.type(1)
        if unknown.any():
            odd = np.concatenate((self._odd, np.flatnonzero(unknown) + self._position))
            crowded = np.flatnonzero(odd[TOLERATED:] - odd[:-TOLERATED] < SPAN)
            if len(crowded):
                self._lost = True
                self._counters.resyncs += 1
                return int(odd[crowded[0] + TOLERATED]) - self._position + 1
            self._odd = odd[-TOLERATED:]
        self._position += len(kinds)
        return len(kinds)

    def _hunt(self, data: bytes, offset: int) -> int:
        """The next offset with SPAN known words in a row, else the first offset not yet judged."""
        reach = SPAN * self._size
        while len(data) - offset >= reach:
            window = data[offset : offset + HUNT]
            found = [self._run(window, shift) for shift in range(self._size)]
            start = min((start for start in found if start is not None), default=None)
            if start is not None:
                self._lost, self._position, self._odd = False, 0, self._odd[:0]
                return offset + start
            offset += len(window) - reach + 1
        return offset

    def _run(self, window: bytes, shift: int) -> int | None:
        """Offset of the first SPAN known words in a row at one alignment."""
        words = np.frombuffer(window, self._dtype, (len(window) - shift) // self._size, shift)
        unknown = (self._unknown >> (words >> self._shift)) & self._dtype.type(1)
        borders = np.concatenate(([-1], np.flatnonzero(unknown), [len(words)]))
        long = np.flatnonzero(np.diff(borders) > SPAN)
        return shift + int(borders[long[0]] + 1) * self._size if len(long) else None
