"""Early drafts are cut where a row costs more than it saves, and what happens to them is learnt."""

from __future__ import annotations

import numpy as np

from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.early import EarlyDraft, EarlyPlanner

COSTS = Costs(0.1, (1.0, 1.1), 0.17)


def draft(*odds: float) -> EarlyDraft:
    return EarlyDraft(tuple(range(len(odds))), np.array(odds))


def test_a_sure_draft_is_kept_whole() -> None:
    assert len(EarlyPlanner(COSTS).cut(draft(*[5.0] * 20), 2.0).tokens) == 20


def test_a_draft_is_cut_where_its_prefix_becomes_unlikely() -> None:
    assert EarlyPlanner(COSTS).cut(draft(5.0, 5.0, -4.0, 5.0), 2.0).tokens == (0, 1)


def test_rows_that_cost_more_than_a_step_are_never_drafted() -> None:
    dear = COSTS._replace(row=1.2)
    assert EarlyPlanner(dear).cut(draft(9.0, 9.0), 1.0).tokens == ()


def test_a_row_is_to_save_more_than_it_costs() -> None:
    """Half a token of two a step saves a quarter of a step; the first token waits for it, too."""
    even = draft(0.0)
    assert EarlyPlanner(COSTS._replace(row=0.16)).cut(even, 2.0).tokens == (0,)
    assert EarlyPlanner(COSTS._replace(row=0.17)).cut(even, 2.0).tokens == ()


def test_drafts_that_never_stand_are_given_up_and_tried_again_later() -> None:
    planner, lengths = EarlyPlanner(COSTS), []
    for _ in range(400):
        cut = planner.cut(draft(*[0.0] * 10), 2.0)
        planner.learn(cut, 0)
        lengths.append(len(cut.tokens))
    assert 0 < np.mean(lengths[100:]) < 0.2


def test_drafts_that_always_stand_grow() -> None:
    planner = EarlyPlanner(COSTS)
    first = len(planner.cut(draft(*[0.0] * 10), 2.0).tokens)
    for _ in range(400):
        cut = planner.cut(draft(*[0.0] * 10), 2.0)
        planner.learn(cut, len(cut.tokens))
    assert first < 10
    assert len(planner.cut(draft(*[0.0] * 10), 2.0).tokens) == 10
