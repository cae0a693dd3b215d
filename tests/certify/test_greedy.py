"""Greedy certification on the tiny bundle's real engines."""

from __future__ import annotations

from collections import Counter

import numpy as np

from xsd_edge.bundle import DrafterInfo
from xsd_edge.certify.bench import Bench
from xsd_edge.certify.broken import BROKEN
from xsd_edge.certify.greedy import Greedy, GreedyFindings, Mismatch
from xsd_edge.certify.plain import Rounding
from xsd_edge.certify.prompts import Prompt
from xsd_edge.certify.subject import PRODUCT, Subject
from xsd_edge.certify.ways import AUTO, DRAFTERS, HEAD, Guesses, Way, all_ways
from xsd_edge.runtime.sampling import Sampling

BY_NAME = {subject.name: subject for subject in BROKEN}


def findings(
    bench: Bench, prompts: list[Prompt], subject: Subject, modes: tuple[bool, ...] = (True,)
) -> GreedyFindings:
    greedy = Greedy(bench, subject, modes, 12, 0)
    for prompt in prompts:
        greedy.check(prompt)
    return greedy.findings


def test_the_product_is_lossless_in_both_modes(bench: Bench, prompts: list[Prompt]) -> None:
    found = findings(bench, prompts, PRODUCT, (True, False))
    assert found.prompts == len(prompts)
    assert not found.wrong(True)
    assert not found.wrong(False)
    assert sum(count.answers for count in found.counts.values()) == 2 * len(prompts)
    assert found.rounding[True].rows > 0
    assert found.rounding[True].differing == 0
    assert any(count.accepted for count in found.counts.values())


def test_a_broken_loop_says_something_else(bench: Bench, prompts: list[Prompt]) -> None:
    found = findings(bench, prompts, BY_NAME["accept always"])
    assert found.wrong(True)
    first = found.wrong(True)[0]
    assert first.plain[: first.position] == first.said[: first.position]
    assert first.plain[first.position] != first.said[first.position]
    assert first.margin is not None
    assert first.margin >= 0


def test_every_way_gets_its_turn() -> None:
    ways = all_ways(DrafterInfo(384, 6, 64, 256, 8))
    count = Counter(way.name for way in ways)
    assert count == dict.fromkeys((*DRAFTERS, AUTO.name), 8)
    assert {way.gamma for way in ways} == {*range(1, 9), None}
    for name in DRAFTERS:
        assert {way.gamma for way in ways if way.name == name} == set(range(1, 9))
    headless = all_ways(DrafterInfo(0, 0, 0, 0, 8))
    assert {way.name for way in headless} == {*DRAFTERS, AUTO.name} - {HEAD}


def mismatch(margin: float | None, exact: bool = False) -> Mismatch:
    return Mismatch(0, "clip", "question", Way("lookup", 2), exact, 3, margin, (1, 2), (1, 3))


def test_a_mismatch_is_a_tie_only_without_exact_and_within_rounding() -> None:
    found = GreedyFindings(rounding={True: Rounding(), False: Rounding(10, 5, 0.9, 0.01, 0.2)})
    tie, no_tie, longer, exact = (
        mismatch(0.15),
        mismatch(0.25),
        mismatch(None),
        mismatch(0.0, exact=True),
    )
    found.mismatches = [tie, no_tie, longer, exact]
    assert found.ties() == [tie]
    assert found.tie_margin == 0.15
    assert found.wrong(False) == [no_tie, longer]
    assert found.wrong(True) == [exact]


def test_rounding_is_what_rows_differ_by() -> None:
    rounding = Rounding()
    row = np.array([1.0, 2.0, -np.inf, 0.0], np.float32)
    other = row + np.array([0.0, 0.25, 0.0, -0.125], np.float32)
    rounding.add(np.stack([row, row]), np.stack([row, other]))
    assert (rounding.rows, rounding.differing, rounding.largest) == (2, 1, 0.25)
    assert 0 < rounding.distance < 0.1
    assert rounding.moved == 0.25
    rounding.add(row[None], np.array([[1.0, -np.inf, 2.0, 0.0]], np.float32))
    assert rounding.largest == rounding.moved == np.inf


def test_guesses_say_what_they_are_drawn_from() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    guesses = Guesses(np.array([3, 5, 9]), logits)
    drawn = guesses.propose(4, Sampling(1.0, top_p=0.6), np.random.default_rng(0))
    assert set(drawn.tokens) <= {3, 5}
    assert drawn.weights is not None
    np.testing.assert_allclose(drawn.weights[2], (0.625, 0.375, 0.0), rtol=1e-5)
    assert guesses.propose(3, Sampling(), np.random.default_rng(0)).weights is None
