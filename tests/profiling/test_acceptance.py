"""Acceptance figures from rounds that are written down."""

from __future__ import annotations

from xsd_edge.profiling.acceptance import by_position, figures
from xsd_edge.profiling.taps import RoundCall


def round_of(drafted: int, accepted: int, verify_s: float = 0.01) -> RoundCall:
    return RoundCall(0.0, accepted + 1, drafted, accepted, 0.0, verify_s, 0.0, drafted)


ROUNDS = [round_of(3, 3), round_of(3, 1), round_of(2, 0), round_of(0, 0)]


def test_positions_judge_only_what_was_reached() -> None:
    found = [(p["position"], p["judged"], p["accepted"]) for p in by_position(ROUNDS)]
    assert found == [(1, 3, 2), (2, 2, 1), (3, 1, 1)]


def test_figures() -> None:
    found = figures(ROUNDS, [round_of(5, 4, 0.0)])
    assert found["alpha"]["value"] == round(4 / 6, 5)  # 3 + 2 + 1 judged
    assert found["accepted_share"] == 0.5
    assert found["tokens_per_round"] == 2.0
    assert found["accepted_histogram"] == {"0": 1, "1": 1, "3": 1}
    assert found["gamma_histogram"] == {"0": 1, "2": 1, "3": 2}
    assert found["early"] == {"answers": 1, "drafted": 5, "accepted": 4}


def test_nothing_drafted_is_null_not_zero() -> None:
    found = figures([round_of(0, 0)], [])
    assert found["alpha"] is None
    assert found["accepted_share"] is None
    assert found["by_position"] == []
    assert figures([], [])["tokens_per_round"] is None
