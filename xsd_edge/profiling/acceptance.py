"""What became of the drafts: acceptance by position, tokens a round, counts of accepted drafts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from xsd_edge.profiling.statistics import Estimate, proportion
from xsd_edge.profiling.taps import RoundCall


def figures(rounds: Sequence[RoundCall], early: Sequence[RoundCall]) -> dict[str, Any]:
    """`rounds` are passes behind the question's own, `early` the judgements of early drafts.

    alpha is the acceptance of a draft whose predecessors all stood: what lies behind a rejected
    draft was never judged on its merits and does not count. `accepted_share` counts it.
    """
    drafted = sum(r.drafted for r in rounds)
    accepted = sum(r.accepted for r in rounds)
    judged = sum(min(r.accepted + 1, r.drafted) for r in rounds)
    emitted = sum(r.emitted for r in rounds)
    return {
        "alpha": estimate(proportion(accepted, judged)),
        "by_position": by_position(rounds),
        "accepted_share": _share(accepted, drafted),
        "tokens_per_round": _share(emitted, len(rounds)),
        "rounds": len(rounds),
        "drafted": drafted,
        "accepted": accepted,
        "accepted_histogram": _histogram(r.accepted for r in rounds if r.drafted),
        "gamma_histogram": _histogram(r.drafted for r in rounds),
        "early": {
            "answers": len(early),
            "drafted": sum(r.drafted for r in early),
            "accepted": sum(r.accepted for r in early),
        },
    }


def by_position(rounds: Sequence[RoundCall]) -> list[dict[str, Any]]:
    """alpha at draft position 1, 2, ...: of the drafts there whose predecessors all stood."""
    longest = max((r.drafted for r in rounds), default=0)
    found = []
    for position in range(1, longest + 1):
        reached = [r for r in rounds if r.drafted >= position and r.accepted >= position - 1]
        stood = sum(r.accepted >= position for r in reached)
        alpha = estimate(proportion(stood, len(reached)))
        found.append(
            {"position": position, "judged": len(reached), "accepted": stood, "alpha": alpha}
        )
    return found


def estimate(found: Estimate | None) -> dict[str, float] | None:
    """An estimate as JSON."""
    return None if found is None else {k: round(v, 5) for k, v in found._asdict().items()}


def _histogram(counts: Any) -> dict[str, int]:
    return {str(count): times for count, times in sorted(Counter(counts).items())}


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
