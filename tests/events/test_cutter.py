"""Clips are cut by time alone: however the events are packed, the slices are the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.encoders import packet, random_events
from xsd_edge.errors import SourceError
from xsd_edge.events.cutter import THIN_ABOVE, Cutter, Slice
from xsd_edge.events.packet import EventPacket


def at(*times: int, jump: bool = False) -> EventPacket:
    column = [1] * len(times)
    made = packet(list(times), column, column, column)
    return EventPacket(made.t, made.x, made.y, made.p, jump)


def shown(slices: list[Slice]) -> list[tuple[int, int, int, int, list[int]]]:
    return [(s.clip, s.index, s.t0_us, s.t1_us, s.events.t.tolist()) for s in slices]


def test_slices_are_half_open_and_equal() -> None:
    cutter = Cutter(100, 4, thin=False)
    slices = cutter.feed(at(10, 34, 35, 60, 109, 110, 135))
    assert shown(slices) == [
        (0, 0, 10, 35, [10, 34]),
        (0, 1, 35, 60, [35]),
        (0, 2, 60, 85, [60]),
        (0, 3, 85, 110, [109]),
        (1, 0, 110, 135, [110]),
    ]
    assert [s.last for s in slices] == [False, False, False, True, False]
    assert cutter.open_events == 1


def test_lengths_that_do_not_divide_leave_no_gap() -> None:
    slices = Cutter(100, 7, thin=False).feed(at(0, 1000))
    assert all(a.t1_us == b.t0_us for a, b in pairwise(slices))
    assert [s.t1_us for s in slices if s.last] == [100 * n for n in range(1, 11)]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 500), max_size=10))
def test_packing_does_not_matter(seed: int, cuts: list[int]) -> None:
    events = random_events(500, 0, 5000, seed)
    whole = Cutter(700, 3, thin=False).feed(events)
    cutter = Cutter(700, 3, thin=False)
    parts = []
    for lo, hi in pairwise(sorted({0, 500, *cuts})):
        parts += cutter.feed(events.slice(lo, hi))
    assert shown(parts) == shown(whole)


def test_a_jump_gives_the_clip_up() -> None:
    cutter = Cutter(100, 2, thin=False)
    assert shown(cutter.feed(at(0, 60))) == [(0, 0, 0, 50, [0])]
    (first,) = cutter.feed(at(1000, 1050, jump=True))
    assert shown([first]) == [(1, 0, 1000, 1050, [1000])]
    assert first.discontinuity
    assert (cutter.dropped, cutter.clips_given_up) == (1, 1)
    (second,) = cutter.feed(at(1100))
    assert not second.discontinuity


def test_events_from_before_the_slice_start_a_new_clip() -> None:
    """The wall clock was taken for the camera's, and was wrong."""
    cutter = Cutter(100, 2, thin=False)
    cutter.feed(at(0))
    assert shown(cutter.advance(75)) == [(0, 0, 0, 50, [0])]
    (late,) = cutter.feed(at(40, 90))
    assert shown([late]) == [(1, 0, 40, 90, [40])]
    assert late.discontinuity


def test_advance_closes_what_has_passed() -> None:
    cutter = Cutter(100, 2, thin=False)
    assert cutter.advance(10**12) == []  # nothing has begun
    cutter.feed(at(0))
    assert shown(cutter.advance(49)) == []
    assert shown(cutter.advance(150)) == [
        (0, 0, 0, 50, [0]),
        (0, 1, 50, 100, []),
        (1, 0, 100, 150, []),
    ]


def test_the_origin_is_used_if_it_is_near() -> None:
    for origin, start in ((5, 5), (-90, 10), (11, 10)):
        cutter = Cutter(100, 2, thin=False)
        cutter.origin_us = origin
        (first,) = cutter.feed(at(10, start + 50))
        assert first.t0_us == start


def test_thinning_is_even_and_counted() -> None:
    count = 5 * THIN_ABOVE
    t = np.sort(np.arange(count) % 1000).astype(np.int64)
    column = np.zeros(count, np.uint16)
    events = EventPacket(t, column, column, column.astype(np.uint8))
    cutter = Cutter(1000, 1, thin=True)
    for lo in range(0, count, 100_000):
        assert cutter.feed(events.slice(lo, lo + 100_000)) == []
    (only,) = cutter.advance(1000)
    assert THIN_ABOVE / 2 <= len(only.events) <= THIN_ABOVE
    assert len(only.events) + cutter.dropped == count
    per_time = np.bincount(only.events.t, minlength=1000)
    assert per_time.max() <= per_time.min() * 1.1 + 2
    assert len(Cutter(1000, 1, thin=False).feed(events)) == 0


@pytest.mark.parametrize("slices", [0, -1, 11])
def test_impossible_slices(slices: int) -> None:
    with pytest.raises(SourceError, match="cannot be cut"):
        Cutter(10, slices, thin=False)
