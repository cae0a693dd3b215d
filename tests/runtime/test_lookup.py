"""Lookup finds the longest suffix; the newest text wins a tie."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xsd_edge.runtime.lookup import LONGEST, Lookup, Match
from xsd_edge.runtime.sampling import Sampling

Texts = st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=5)


def heard(lookup: Lookup, said: list[int]) -> Match:
    lookup._said = []
    lookup.observe(np.zeros((len(said), 2), np.float32), said)
    return lookup.match()


def test_the_longest_suffix_wins() -> None:
    lookup = Lookup()
    lookup.remember([1, 2, 3, 4])
    lookup.remember([9, 3, 5, 6])
    assert heard(lookup, [1, 2, 3]) == Match(3, (4,))
    assert heard(lookup, [7, 3]) == Match(1, (5, 6))
    assert heard(lookup, [8]) == Match(0, ())
    assert heard(lookup, []) == Match(0, ())
    drafted = lookup.propose(2, Sampling(), np.random.default_rng(0))
    assert drafted.tokens == ()


def test_a_question_asked_again_finds_its_last_answer() -> None:
    lookup = Lookup()
    lookup.remember([5, 6, 7, 10, 11, 12])
    assert heard(lookup, [5, 6, 7]).following == (10, 11, 12)


def test_of_equal_matches_the_newest_texts_first_is_taken() -> None:
    lookup = Lookup()
    lookup.remember([1, 2, 8])
    lookup.remember([1, 2, 5, 1, 2, 6])
    assert heard(lookup, [1, 2]) == Match(2, (5, 1, 2, 6))
    lookup.remember(range(20))
    assert heard(lookup, list(range(12))) == Match(LONGEST, tuple(range(12, 20)))


@given(Texts, st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_no_match_is_longer(texts: list[list[int]], said: list[int]) -> None:
    lookup = Lookup()
    for text in texts:
        lookup.remember(text)
    found = heard(lookup, said)
    lengths = [0]
    for text in texts:
        for end in range(1, len(text)):
            length = 0
            while length < min(end, len(said)) and text[end - 1 - length] == said[-1 - length]:
                length += 1
            lengths.append(min(length, LONGEST))
    assert found.length == max(lengths)
