"""The planner picks the draft length that pays, by the costs it is given."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.fakes import Guessing, tiny_decoder
from xsd_edge.runtime.planner import Costs, best_gamma, measure_costs

FLAT = Costs(0.05, (1.0,) * 9)  # a memory-bound target: rows are free
INT4 = Costs(0.1, (1.0, 1.08, 1.27, 1.49, 1.68, 1.81, 2.0, 2.1, 2.19))


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
def test_best_gamma(acceptance: float, costs: Costs, gamma: int) -> None:
    assert best_gamma(np.full(8, acceptance), costs) == gamma


def test_best_gamma_maximises_expected_speed() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        acceptance = rng.random(8)
        expected = [1.0 + sum(np.prod(acceptance[:i]) for i in range(1, g + 1)) for g in range(9)]
        speed = [e / INT4.round(g) for g, e in enumerate(expected)]
        assert best_gamma(acceptance, INT4) == int(np.argmax(speed))


def test_a_sure_start_and_a_doubtful_end_stop_the_draft_between() -> None:
    acceptance = np.array([0.99, 0.99, 0.99, 0.05, 0.9, 0.9, 0.9, 0.9])
    assert best_gamma(acceptance, INT4) == 3


def test_measuring_leaves_the_cache_as_it_was() -> None:
    decoder, engine = tiny_decoder(context=64)
    decoder.prefill(decoder.embed([1, 2, 3]))
    costs = measure_costs(decoder, Guessing(range(12)), 4)
    assert decoder.offset == 3
    assert len(costs.v) == 5
    assert costs.v[0] == 1.0
    assert costs.c > 0
    assert max(engine.passes[1:]) == 5
