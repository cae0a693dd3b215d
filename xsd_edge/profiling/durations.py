"""How long each stage took: every call by stage, its spread, and its share of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from xsd_edge.boards import Budget
from xsd_edge.profiling.arms import Pair, Take
from xsd_edge.profiling.statistics import Spread
from xsd_edge.runtime.stages import Call

# Our names in the order of the flow, and how a stage or an engine calls itself.
STAGES: Final = {
    "event_decode": "event_decode",  # CPU time of the reading thread, per packet
    "frame_read": "frame_read",
    "preprocess": "preprocess",
    "vision_tower": "vision",  # with its projector
    "prefill_frame": "prefill",
    "representation": "representation",
    "event_encoder": "event_encoder",
    "alignment": "alignment",  # with the draft head's memory of the events
    "early_draft": "early_draft",
    "question": "question",  # the pass over the last frame, the question and the early draft
    "predictor": "acceptance_predictor",
    "draft_step": "draft_head",
    "verify": "verify",
    "accept": "judge",
    "detokenize": "detokenize",
}
ENGINES: Final = ("predictor", "draft_step")  # stages that are one engine's runs
BUDGETS: Final = {
    "representation": "representation",
    "event_encoder": "event_encoder",
    "alignment": "alignment",
    "predictor": "acceptance_predictor",
    "vision_tower": "vision_frame",
    "prefill_frame": "prefill_frame",
    "draft_step": "draft_step",
    "verify": "verify_round",
}

Durations = dict[str, list[float]]  # seconds of every call, by our names


def of_take(take: Take) -> Durations:
    """What one arm spent on one clip."""
    found: Durations = {stage: [] for stage in STAGES}
    named = {theirs: ours for ours, theirs in STAGES.items()}
    for call in take.stages:
        if (ours := named.get(call.stage)) is not None:
            found[ours].append(call.seconds)
    for call in take.engines:
        if (ours := named.get(call.stage)) in ENGINES and ours is not None:
            found[ours].append(call.seconds)
    for round_ in take.rounds:
        if round_.verify_s:  # the first round judges what the question's pass brought
            found["verify"].append(round_.verify_s)
        found["accept"].append(round_.judge_s)
    return found


def of_pairs(pairs: Sequence[Pair], source: Iterable[Call]) -> Durations:
    """What the drafted answers took, with what reading the source took for them."""
    found: Durations = {stage: [] for stage in STAGES}
    for call in source:
        found[call.stage].append(call.seconds)
    for pair in pairs:
        for stage, seconds in of_take(pair.drafted).items():
            found[stage] += seconds
    return found


def table(pairs: Sequence[Pair], source: Sequence[Call], budget: Budget) -> dict[str, Any]:
    """Spread in milliseconds, total and share by stage; `other` is what no stage accounts for.

    The whole is the time from handing in a clip to its last answer's text, plus reading the
    source, so the shares add up to 1.
    """
    durations = of_pairs(pairs, source)
    whole = sum(pair.drafted.seconds for pair in pairs) + sum(call.seconds for call in source)
    allowed: Mapping[str, float] = asdict(budget)
    found: dict[str, Any] = {}
    for stage, seconds in durations.items():
        spread = Spread.of([s * 1e3 for s in seconds])
        found[stage] = {
            **_milliseconds(spread),
            "total_ms": round(sum(seconds) * 1e3, 4),
            "share": round(sum(seconds) / whole, 6),
            "budget_ms": allowed[BUDGETS[stage]] if stage in BUDGETS else None,
        }
    rest = whole - sum(map(sum, durations.values()))
    found["other"] = {
        **_milliseconds(None),
        "total_ms": round(rest * 1e3, 4),
        "share": round(rest / whole, 6),
        "budget_ms": None,
    }
    return found


def engines(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Runs of each engine in the drafted answers, in milliseconds."""
    runs: dict[str, list[float]] = {}
    for pair in pairs:
        for call in pair.drafted.engines:
            runs.setdefault(call.stage, []).append(call.seconds * 1e3)
    return {part: _milliseconds(Spread.of(times)) for part, times in sorted(runs.items())}


def per_clip(pairs: Sequence[Pair]) -> dict[str, list[float | None]]:
    """Mean milliseconds a call of each stage, clip by clip: what two profiles are compared by."""
    takes = [of_take(pair.drafted) for pair in pairs]
    found: dict[str, list[float | None]] = {}
    for stage in STAGES:
        means = [_mean_ms(take[stage]) for take in takes]
        if any(mean is not None for mean in means):
            found[stage] = means
    return found


def _mean_ms(seconds: Sequence[float]) -> float | None:
    return round(sum(seconds) / len(seconds) * 1e3, 6) if seconds else None


def _milliseconds(spread: Spread | None) -> dict[str, Any]:
    if spread is None:
        return {"n": 0, **dict.fromkeys(("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"))}
    rounded = {f"{k}_ms": round(v, 4) for k, v in spread._asdict().items() if k != "n"}
    return {"n": spread.n, **rounded}
