"""EVT3 against known events and against a decoder that reads one word after another."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.encoders import evt3_bytes, random_events, rows
from tests.events.test_continuity import slow_continuity
from xsd_edge.events.decoders.encodings import Decoder
from xsd_edge.events.decoders.evt3 import Evt3Decoder
from xsd_edge.events.decoders.evt3_loop import Evt3LoopDecoder, compiled, decode_words
from xsd_edge.events.packet import Counters, EventPacket, Geometry

VGA = Geometry(640, 480)
Row = tuple[int, int, int, int]


def packed(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}H", *words)


def compiled_decoder(geometry: Geometry, counters: Counters) -> Evt3LoopDecoder:
    loop = compiled()
    if loop is None:
        pytest.skip('numba is missing (pip install "xsd-edge[fast]")')
    return Evt3LoopDecoder(geometry, counters, loop)


DECODERS: dict[str, Callable[[Geometry, Counters], Decoder]] = {
    "vectorised": Evt3Decoder,
    "interpreted": partial(Evt3LoopDecoder, loop=decode_words),
    "compiled": compiled_decoder,
}
pytestmark = pytest.mark.parametrize("kind", DECODERS)


def decode(kind: str, data: bytes, portions: tuple[int, ...] = ()) -> list[Row]:
    decoder = DECODERS[kind](VGA, Counters())
    found: list[Row] = []
    for length in (*portions, len(data)):
        for part in decoder.feed(data[:length]):
            found += rows(part)
        data = data[length:]
    return found


def slow_evt3(words: list[int]) -> list[Row]:
    """The format's definition, one word at a time, on a 640x480 sensor."""
    high: int | None = None
    loop = low = y = base = polarity = 0
    found: list[Row] = []
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if high is None and kind != 8:
            continue
        if kind == 8:
            if high is not None and high - value >= 2048:
                loop += 1
            if high != value:
                low = 0
            high = value
        assert high is not None
        t = loop << 24 | high << 12 | low
        if kind == 6:
            low = value
        elif kind == 0:
            y = value & 0x7FF
        elif kind == 2:
            found.append((t, value & 0x7FF, y, value >> 11))
        elif kind == 3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind in (4, 5):
            size = 12 if kind == 4 else 8
            found += [(t, base + i, y, polarity) for i in range(size) if value >> i & 1]
            base += size
    found = [row for row in found if row[1] < 640 and row[2] < 480]
    times = [t for part in slow_continuity([row[0] for row in found]) for t in part]
    return [(t, *row[1:]) for t, row in zip(times, found, strict=True)]


WORDS = st.lists(
    st.one_of(
        st.builds(
            lambda kind, value: kind << 12 | value,
            st.sampled_from([0, 2, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 14, 15]),
            st.one_of(st.integers(0, 300), st.integers(0, 4095)),
        ),
        st.sampled_from([0x8000, 0x8001, 0x8FFF]),
    ),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(WORDS, st.lists(st.integers(0, 60), max_size=4))
def test_equals_one_word_at_a_time(kind: str, words: list[int], portions: list[int]) -> None:
    assert decode(kind, packed(*words), tuple(portions)) == slow_evt3(words)


def test_round_trip(kind: str) -> None:
    events = random_events(5000, 10**6, 10**6 + 50_000)
    assert decode(kind, evt3_bytes(events)) == rows(events)


def test_vectors_start_at_the_base_and_move_on(kind: str) -> None:
    words = (0x8000, 0x0005, 0x3000 | 0x800 | 100, 0x4000 | 0b1001, 0x5000 | 0b10000001, 0x4001)
    x = [100, 103, 112, 119, 120]
    assert decode(kind, packed(*words)) == [(0, at, 5, 1) for at in x]
    assert decode(kind, packed(*words), (7, 2, 3)) == [(0, at, 5, 1) for at in x]


def test_the_upper_bits_of_an_8_bit_vector_mean_nothing(kind: str) -> None:
    assert decode(kind, packed(0x8000, 0x3000, 0x5F01)) == [(0, 0, 0, 0)]


def test_time_wraps_every_16_8_seconds(kind: str) -> None:
    """Forty seconds with an event every half second."""
    t = np.arange(0, 40_000_000, 500_000)
    count = len(t)
    ones = np.ones(count, np.uint16)
    events = EventPacket(t, ones, ones, ones.astype(np.uint8))
    assert decode(kind, evt3_bytes(events)) == rows(events)


def test_a_new_time_high_resets_time_low_and_a_repeated_one_does_not(kind: str) -> None:
    words = (0x8000, 0x6800, 0x2001, 0x8000, 0x2002, 0x8001, 0x2003)
    assert [row[0] for row in decode(kind, packed(*words))] == [0x800, 0x800, 0x1000]


def test_time_low_that_runs_over_early_is_flattened(kind: str) -> None:
    """Real sensors sometimes wrap TIME_LOW before they send the next TIME_HIGH."""
    counters = Counters()
    words = (0x8001, 0x6FFF, 0x2001, 0x6001, 0x2002, 0x8002, 0x6003, 0x2003)
    (part,) = DECODERS[kind](VGA, counters).feed(packed(*words))
    assert part.t.tolist() == [0x1FFF, 0x1FFF, 0x2003]
    assert counters.backward_jumps == 1


def test_padding_triggers_and_others_carry_no_events(kind: str) -> None:
    words = (0xA001, 0x8000, 0x9999, 0x9999, 0xA001, 0x7123, 0xA000, 0xE019, 0xF123, 0x2007)
    counters = Counters()
    (part,) = DECODERS[kind](VGA, counters).feed(packed(*words))
    assert rows(part) == [(0, 7, 0, 0)]
    assert counters.triggers == 2  # the one before the first TIME_HIGH has no time


def test_vectors_without_end_stay_outside(kind: str) -> None:
    """A base that is never set again must not wander back into the sensor."""
    counters = Counters()
    decoder = DECODERS[kind](VGA, counters)
    data = packed(0x8000, 0x3000) + packed(*[0x4FFF] * 20_000)
    portions = (data, data[4:], data[4:])
    assert sum(len(part) for portion in portions for part in decoder.feed(portion)) == 640
    assert counters.dropped_geometry == 3 * 20_000 * 12 - 640
