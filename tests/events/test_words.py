"""Words come out the same for any portions, and a lost word boundary is found again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsd_edge.events.decoders.words import SPAN, WordCutter
from xsd_edge.events.packet import Counters

UNKNOWN = (1, 11, 12, 13)


def cut(data: bytes, portions: list[int], dtype: str = "<u2") -> tuple[list[int], Counters]:
    """Words, and what was counted, when `data` come in portions of these lengths, then the rest."""
    counters = Counters()
    cutter = WordCutter(dtype, UNKNOWN, counters)
    words: list[int] = []
    for length in [*portions, len(data)]:
        for block in cutter.feed(data[:length]):
            assert (block.kinds == block.words >> (np.dtype(dtype).itemsize * 8 - 4)).all()
            words += block.words.tolist()
        data = data[length:]
    cutter.finish()
    return words, counters


def sane(count: int, seed: int = 0) -> bytes:
    """Words of known kinds only."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice([0, 2, 6, 8], count)
    return (kinds << 12 | rng.integers(0, 4096, count)).astype("<u2").tobytes()


@pytest.mark.parametrize("dtype", ["<u2", "<u4"])
def test_whole_words(dtype: str) -> None:
    data = np.arange(1000).astype(dtype).tobytes()
    words, counters = cut(data, [], dtype)
    assert words == list(range(1000))
    assert counters == Counters()


def test_a_cut_word_is_truncation() -> None:
    words, counters = cut(sane(10)[:-1], [])
    assert len(words) == 9
    assert counters.truncated


def test_a_few_unknown_words_are_just_words() -> None:
    words = np.zeros(1000, "<u2")
    words[::10] = 0xB000
    found, counters = cut(words.tobytes(), [])
    assert (len(found), counters.resyncs) == (1000, 0)


@pytest.mark.parametrize("extra", [1, 200, 201, 3001])
def test_the_boundary_is_found_after_garbage(extra: int) -> None:
    garbage = np.random.default_rng(1).integers(0, 256, extra, np.uint8).tobytes()
    before, after = sane(500, 1), sane(2000, 2)
    words, counters = cut(before + garbage + after, [])
    expected = np.frombuffer(after, "<u2").tolist()
    # One byte too many is only noticed by the nonsense that follows it.
    assert words[-1800:] == expected[-1800:]
    assert counters.resyncs == (1 if extra != 200 else counters.resyncs)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 700),
    st.lists(st.integers(0, 997), max_size=12),
    st.sampled_from(["<u2", "<u4"]),
)
def test_portions_do_not_matter(seed: int, noise: int, portions: list[int], dtype: str) -> None:
    garbage = np.random.default_rng(seed).integers(0, 256, noise, np.uint8).tobytes()
    data = sane(300, seed) + garbage + sane(900, seed + 1)
    assert cut(data, portions, dtype) == cut(data, [], dtype)


def test_while_lost_nothing_is_kept_but_what_is_undecided() -> None:
    cutter = WordCutter("<u2", UNKNOWN, Counters())
    for _ in range(50):
        list(cutter.feed(b"\xb0" * 10_000))
    assert len(cutter._rest) <= 2 * SPAN + 1
