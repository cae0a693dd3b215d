"""EVT2.1 in both orders, against known events and a decoder that reads one word after another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.encoders import random_events, rows
from tests.events.test_continuity import slow_continuity
from xsd_edge.events.decoders.evt21 import Evt21Decoder
from xsd_edge.events.packet import Counters, EventPacket, Geometry

VGA = Geometry(640, 480)
HIGH = 8 << 60
Row = tuple[int, int, int, int]
pytestmark = pytest.mark.parametrize("legacy", [False, True])


def vector(p: int, low: int, x: int, y: int, mask: int) -> int:
    return p << 60 | low << 54 | x << 43 | y << 32 | mask


def packed(words: Sequence[int], legacy: bool) -> bytes:
    parts = []
    for word in words:
        halves = word.to_bytes(8, "little")
        parts.append(halves[4:] + halves[:4] if legacy else halves)
    return b"".join(parts)


def evt21_words(events: EventPacket) -> list[int]:
    """One event a word."""
    words: list[int] = []
    high = None
    for t, x, y, p in rows(events):
        if t >> 6 != high:
            high = t >> 6
            words.append(HIGH | (high & 0xFFFFFFF) << 32)
        words.append(vector(p, t & 0x3F, x, y, 1))
    return words


def decode(data: bytes, legacy: bool, portions: Sequence[int] = ()) -> list[Row]:
    decoder = Evt21Decoder(VGA, Counters(), legacy=legacy)
    found: list[Row] = []
    for length in (*portions, len(data)):
        for part in decoder.feed(data[:length]):
            found += rows(part)
        data = data[length:]
    return found


def slow_evt21(words: Sequence[int]) -> list[Row]:
    """The format's definition, one word at a time, on a 640x480 sensor."""
    high: int | None = None
    loop = 0
    found: list[Row] = []
    for word in words:
        kind, upper = word >> 60, word >> 32
        if kind == 8:
            value = upper & 0xFFFFFFF
            loop += high is not None and high - value >= 1 << 27
            high = value
        elif kind <= 1 and high is not None:
            t = loop << 34 | high << 6 | upper >> 22 & 0x3F
            x, y = upper >> 11 & 0x7FF, upper & 0x7FF
            found += [(t, x + bit, y, kind) for bit in range(32) if word >> bit & 1]
    found = [row for row in found if row[1] < 640 and row[2] < 480]
    times = [t for part in slow_continuity([row[0] for row in found]) for t in part]
    return [(t, *row[1:]) for t, row in zip(times, found, strict=True)]


WORDS = st.lists(
    st.one_of(
        st.builds(
            vector,
            st.integers(0, 1),
            st.integers(0, 63),
            st.integers(0, 660),
            st.integers(0, 490),
            st.one_of(st.just(1), st.sampled_from([0, 1 << 31]), st.integers(0, 2**32 - 1)),
        ),
        st.builds(lambda high: HIGH | high << 32, st.sampled_from([0, 1, 2, 1000, 2**28 - 1])),
        st.sampled_from([0xA << 60, 0xE << 60, 0xF << 60]),
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(words=WORDS, portions=st.lists(st.integers(0, 60), max_size=4))
def test_equals_one_word_at_a_time(legacy: bool, words: list[int], portions: list[int]) -> None:
    assert decode(packed(words, legacy), legacy, portions) == slow_evt21(words)


def test_round_trip(legacy: bool) -> None:
    events = random_events(3000, 10**6, 10**6 + 50_000)
    assert decode(packed(evt21_words(events), legacy), legacy) == rows(events)


def test_a_mask_is_a_row_of_32_pixels(legacy: bool) -> None:
    words = [HIGH | 1 << 32, vector(1, 5, 96, 7, 1 << 31 | 0b101), vector(0, 6, 0, 7, 0)]
    assert decode(packed(words, legacy), legacy) == [(69, x, 7, 1) for x in (96, 98, 127)]


def test_time_wraps_after_2_to_the_34_microseconds(legacy: bool) -> None:
    start = 3 * 2**34 - 1000
    events = random_events(500, start, start + 2000)
    decoded = decode(packed(evt21_words(events), legacy), legacy)
    assert [row[0] - decoded[0][0] for row in decoded] == (events.t - events.t[0]).tolist()


def test_triggers_are_counted(legacy: bool) -> None:
    counters = Counters()
    words = [HIGH, 0xA << 60 | 1 << 32, vector(1, 0, 3, 4, 1), 0xE << 60 | 0x19 << 32, 0xA << 60]
    (part,) = Evt21Decoder(VGA, counters, legacy=legacy).feed(packed(words, legacy))
    assert rows(part) == [(0, 3, 4, 1)]
    assert counters == Counters(events=1, triggers=2)


def test_a_cut_word_is_truncation(legacy: bool) -> None:
    counters = Counters()
    decoder = Evt21Decoder(VGA, counters, legacy=legacy)
    decoder.feed(packed([HIGH, vector(1, 0, 3, 4, 1)], legacy)[:-1])
    decoder.finish()
    assert counters == Counters(truncated=True)
