"""From what happened stream by stream to the figures of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from xsd_edge.training.ablation.wording import KINDS
from xsd_edge.training.stream_quality import sign_flip_p

Record = dict[str, Any]  # of one stream, as `Arena.stream` makes it
# What events are asked to add to: a row that sees them, and the same row without.
PAIRS: Final = (
    ("attended", "text"),
    ("attended", "aligned"),
    ("qualified", "attended"),
    ("hidden_events", "hidden"),
    ("previous_events", "previous"),
    ("hidden_events_frame", "hidden_events"),
)


def totals(records: Sequence[Record]) -> dict[str, Any]:
    """The figures of one condition. Shares in 0..1; null where nothing was judged."""
    captions = sum(record["captions"] for record in records)
    names = list(records[0]["rows"])
    return {
        "streams": len(records),
        "captions": captions,
        "exact_caption": _share([captions, sum(record["exact"] for record in records)]),
        "rows": {name: _figures([record["rows"][name] for record in records]) for name in names},
        "gains": {
            f"{more} - {less}": _gain(records, more, less)
            for more, less in PAIRS
            if more in names and less in names
        },
    }


def _figures(parts: Sequence[Record]) -> dict[str, Any]:
    greedy, sampled = (np.sum([part[how] for part in parts], 0) for how in ("greedy", "sampled"))
    said = {
        kind: np.sum([part["said"].get(kind, (0, 0)) for part in parts], 0).tolist()
        for kind in KINDS
    }
    gains = [gain for part in parts for gain in part["gains"]]
    return {
        "acceptance_t0": _share(greedy[:2]),
        "acceptance_t1": _share(sampled[:2]),
        "tokens_per_round": _share(greedy[:1:-1]),
        "tokens_per_round_t1": _share(sampled[:1:-1]),
        "speedup": round(float(np.median(gains)), 3) if gains else None,
        "speedup_quartiles": np.quantile(gains, (0.25, 0.75)).round(3).tolist() if gains else None,
        "judged": int(greedy[0]),
        "said": {kind: _share(counts) for kind, counts in said.items()},
        "said_judged": {kind: counts[0] for kind, counts in said.items()},
    }


def _gain(records: Sequence[Record], more: str, less: str) -> dict[str, float]:
    """Tokens that a round brings more, and p that it does not (one-sided, paired by stream)."""
    pairs = [[_per_round(record["rows"][name]) for name in (more, less)] for record in records]
    gains = np.array([a - b for a, b in pairs])
    return {"tokens_per_round": round(float(gains.mean()), 3), "p": round(sign_flip_p(gains), 5)}


def _per_round(row: Record) -> float:
    return float(row["greedy"][2] / max(row["greedy"][3], 1))


def _share(counts: Any) -> float | None:
    """`counts` are a whole and its part."""
    whole, part = counts
    return round(float(part / whole), 4) if whole else None
