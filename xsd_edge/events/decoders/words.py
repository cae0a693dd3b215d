"""Words: cuts a byte stream into the words of Prophesee's formats; finds word boundaries again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
    """Consecutive words and their kinds (four bits that say what a word means), both [n]."""

    words: Unsigned
    kinds: NDArray[np.uint8]


def held(values: NDArray[T], before: NDArray[np.intp], events: int) -> NDArray[T]:
    """For each event the value that holds there, [events]: the one at first, or a later word's.

    values [k + 1], the first and those of k words; before [k] counts the events before each.
    """
    return np.repeat(values, np.diff(np.concatenate(([0], before, [events]))))


class WordCutter:
    """Little-endian words of one size out of byte portions of any size.

    A byte too many or too few would turn the whole rest of a stream into garbage. So where more
    than TOLERATED of SPAN words are of no known kind, bytes are skipped up to the next SPAN known
    words in a row, at any alignment; the first of them must be one that `anchor` accepts. Where
    that happens does not depend on the portions. `shift` is where the kind stands, if not in the
    highest bits.
    """

    def __init__(
        self,
        dtype: str,
        unknown: Iterable[int],
        counters: Counters,
        *,
        shift: int | None = None,
        anchor: Callable[[Unsigned], NDArray[np.bool_]] | None = None,
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._size = self._dtype.itemsize
        self._shift = self._dtype.type(self._size * 8 - 4 if shift is None else shift)
        self._unknown = _ranges(unknown)
        self._anchor = anchor
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
            kinds = self._kinds(words)
            count = self._sane(kinds)
            offset += count * self._size
            yield Words(words[:count], kinds[:count])
        self._rest = data[offset:]

    def finish(self) -> None:
        """The stream has ended."""
        self._counters.truncated |= bool(self._rest)

    def _kinds(self, words: Unsigned) -> NDArray[np.uint8]:
        kinds: NDArray[np.uint8] = (words >> self._shift).astype(np.uint8) & np.uint8(0xF)
        return kinds

    def _odd_ones(self, kinds: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Positions of words of unknown kinds. Comparing ranges is faster than any table."""
        unknown = np.zeros(len(kinds), bool)
        for first, others in self._unknown:
            unknown |= kinds - first <= others
        return np.flatnonzero(unknown)

    def _sane(self, kinds: NDArray[np.uint8]) -> int:
        """How many words come before the boundary is lost; all of them if it is not."""
        unknown = self._odd_ones(kinds)
        if len(unknown):
            odd = np.concatenate((self._odd, unknown + self._position))
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
        kinds = self._kinds(words)
        odd = self._odd_ones(kinds)
        starts = np.append(0, odd + 1)
        if self._anchor is not None:
            starts = np.flatnonzero(self._anchor(words))
        ends = np.append(odd, len(words))[np.searchsorted(odd, starts)]
        long = np.flatnonzero(ends - starts >= SPAN)
        return shift + int(starts[long[0]]) * self._size if len(long) else None


def _ranges(kinds: Iterable[int]) -> list[tuple[np.uint8, np.uint8]]:
    """Runs of consecutive kinds: each the first, and how many more."""
    runs: list[tuple[int, int]] = []
    for kind in sorted(kinds):
        first, others = runs[-1] if runs else (kind, -1)
        if kind == first + others + 1:
            runs[-1:] = [(first, others + 1)]
        else:
            runs.append((kind, 0))
    return [(np.uint8(first), np.uint8(others)) for first, others in runs]
