"""The planner picks drafter and draft length that pay, learns, and stops where drafting loses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.engine import Arrays
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.planner import Guard, Planned, Trust, best_plan
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import Proposal

FLAT = Costs(0.05, (1.0,) * 9, 0.1)  # a memory-bound target: rows are free
INT4 = Costs(0.1, (1.0, 1.08, 1.27, 1.49, 1.68, 1.81, 2.0, 2.1, 2.19), 0.17)
MEMORY = EventMemory(*(np.zeros((1, 1, 4), np.float32),) * 4)


@pytest.mark.parametrize(
    ("acceptance", "costs", "gamma"),
    [
        (0.0, FLAT, 0),  # hopeless drafts: decode plainly
        (0.02, INT4, 0),
        (1.0, FLAT, 8),
        (0.99, INT4, 8),
        (0.04, FLAT, 0),  # less likely accepted than drafting costs
        (0.06, FLAT, 1),
    ],
)
def test_best_plan(acceptance: float, costs: Costs, gamma: int) -> None:
    assert best_plan([acceptance] * 8, costs.c, costs.v).gamma == gamma


def test_best_plan_maximises_expected_speed() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        acceptance = rng.random(8).tolist()
        expected = [1.0 + sum(np.prod(acceptance[:i]) for i in range(1, g + 1)) for g in range(9)]
        speed = [e / INT4.round(g) for g, e in enumerate(expected)]
        plan = best_plan(acceptance, INT4.c, INT4.v)
        assert plan.gamma == int(np.argmax(speed))
        assert plan.speed == pytest.approx(max(speed))


def test_a_sure_start_and_a_doubtful_end_stop_the_draft_between() -> None:
    acceptance = [0.99, 0.99, 0.99, 0.05, 0.9, 0.9, 0.9, 0.9]
    assert best_plan(acceptance, INT4.c, INT4.v).gamma == 3


def test_trust_follows_what_the_verifier_decides() -> None:
    trust, rng = Trust(4), np.random.default_rng(0)
    positions, odds = range(4), [0.0] * 4
    rates = np.array([0.95, 0.7, 0.3, 0.1])
    for _ in range(2000):
        stands = rng.random(4) < rates
        accepted = 4 if stands.all() else int(np.argmin(stands))
        trust.learn(trust.chances(odds, positions), positions, accepted)
    learnt = np.array(trust.chances(odds, positions))
    np.testing.assert_allclose(learnt, rates, atol=0.25)
    assert np.all(np.diff(learnt) < 0)


def test_odds_beyond_all_measure_are_no_error() -> None:
    chances = Trust(1).chances([-1e4, 1e4], [0, 0])
    assert chances == [pytest.approx(0.0), pytest.approx(1.0)]


class Sure:
    """An acceptance predictor that is sure of every draft."""

    def run(self, feeds: Arrays, results: Arrays) -> None:
        results["logits"][:] = 3.0

    def hold(self, pairs: object, shape: object, dtype: object) -> None:
        pass

    def close(self) -> None:
        pass


class Head:
    """Drafts the number 7 as often as asked."""

    def __init__(self) -> None:
        self.drafted = 0

    def begin(self, memory: EventMemory) -> None:
        pass

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        pass

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        self.drafted += gamma
        return Proposal((7,) * gamma)


def rounds(planned: Planned, count: int, truth: int) -> tuple[int, float]:
    """`count` rounds in which the target says `truth` all the time; tokens and their price."""
    planned.begin(MEMORY)
    rng, tokens, price = np.random.default_rng(0), 0, 0.0
    following: tuple[int, ...] = (truth,)
    for _ in range(count):
        planned.observe(np.zeros((len(following), 4), np.float32), following)
        drafts = planned.propose(20, Sampling(), rng).tokens
        accepted = len(drafts) if truth == 7 else 0
        following = (*drafts[:accepted], truth)
        tokens += len(following)
        price += INT4.round(len(drafts))
    return tokens, price


def test_a_hopeless_drafter_costs_less_than_three_per_cent() -> None:
    planned = Planned(Head(), Lookup(), Sure(), INT4)
    tokens, price = rounds(planned, 4000, truth=3)
    assert tokens == 4000
    assert price < 1.03 * tokens


def test_a_drafter_that_recovers_is_found_again() -> None:
    planned = Planned(Head(), Lookup(), Sure(), INT4)
    rounds(planned, 500, truth=3)
    rounds(planned, 1500, truth=7)
    tokens, price = rounds(planned, 200, truth=7)
    assert tokens > 2.5 * price


def test_a_good_drafter_is_never_turned_off() -> None:
    planned = Planned(Head(), Lookup(), Sure(), INT4)
    tokens, _ = rounds(planned, 300, truth=7)
    assert tokens > 300 * 8


def test_lookup_is_chosen_where_the_head_knows_nothing() -> None:
    head, lookup = Head(), Lookup()
    lookup.remember([3] * 40)
    planned = Planned(head, lookup, Sure(), INT4)
    tokens = 0
    planned.begin(MEMORY)
    following: tuple[int, ...] = (3, 3, 3)
    for _ in range(200):
        planned.observe(np.zeros((len(following), 4), np.float32), following)
        drafts = planned.propose(20, Sampling(), np.random.default_rng(0)).tokens
        agree = len(drafts) if drafts and drafts[0] == 3 else 0
        following = (*drafts[:agree], 3)
        tokens += len(following)
    assert tokens > 200 * 5


def test_the_guard_rests_ever_longer_while_drafts_lose() -> None:
    guard, rests = Guard(), []
    for _ in range(5):
        for _ in range(Guard.LEAST):
            guard.add(1, 1.5)
        length = 0
        while guard.resting():
            length += 1
        rests.append(length)
    assert rests == [32, 64, 128, 256, 512]
