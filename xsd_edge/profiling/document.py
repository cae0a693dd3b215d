"""The profile as one JSON document; docs/profiling.md says what each key means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from xsd_edge.boards import Board
from xsd_edge.errors import XsdEdgeError
from xsd_edge.profiling import acceptance, durations
from xsd_edge.profiling.acceptance import estimate
from xsd_edge.profiling.arms import Pair, Take
from xsd_edge.profiling.curve import Curve
from xsd_edge.profiling.sampler import Sampler
from xsd_edge.profiling.statistics import Spread
from xsd_edge.profiling.taps import EngineMemory
from xsd_edge.profiling.verdict import Speedups, early_rounds, later_rounds, thresholds, verdict
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.stages import Call

FORMAT = 1
KIND = "xsd-edge profile"
Document = dict[str, Any]


class ProfileError(XsdEdgeError):
    """A profile that cannot be read, or two that cannot be compared."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that a profile run saw."""

    machine: dict[str, Any]
    bundle: dict[str, Any]
    source: dict[str, Any]
    options: RunOptions
    board: Board
    pairs: Sequence[Pair]
    reading: Sequence[Call]  # of the source: decoding and frames
    curve: Curve
    memory: dict[str, EngineMemory]
    peak_bytes: int | None
    resident_bytes: int | None
    sampler: Sampler


def build(seen: Measured) -> Document:
    """All sections. What was not measured is null, never 0."""
    pairs = seen.pairs
    later = [r for pair in pairs for r in later_rounds(pair.drafted)]
    early = [r for pair in pairs for r in early_rounds(pair.drafted)]
    accepted = acceptance.figures(later, early)
    alpha = accepted["alpha"]["value"] if accepted["alpha"] else None
    speedups = Speedups.of(pairs, seen.curve)
    limits = thresholds(seen.curve, alpha)
    least = min((t["alpha"] for t in limits if t["alpha"] is not None), default=None)
    answers = sum(len(pair.drafted.answers) for pair in pairs)
    return {
        "kind": KIND,
        "format": FORMAT,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": seen.machine,
        "bundle": seen.bundle,
        "source": seen.source,
        "settings": _settings(seen.options),
        "verdict": verdict(speedups, alpha, least, answers),
        "speedup": speedups.to_json(),
        "costs": _costs(seen.curve),
        "break_even": {"alpha": least, "by_gamma": limits},
        "acceptance": accepted,
        "stages": durations.table(pairs, seen.reading, seen.board.budget_ms),
        "engines": durations.engines(pairs),
        "memory": _memory(seen),
        "power": _power(seen),
        "temperatures_c": _ranges([s.temperatures for s in seen.sampler.slow]),
        "clocks_mhz": _ranges([s.clocks for s in seen.sampler.slow]),
        "gpu_load": _mean([s.gpu_load for s in seen.sampler.slow if s.gpu_load is not None]),
        "answers": [_answer(i, pair, n) for i, pair in enumerate(pairs) for n in _questions(pair)],
        "rounds": _rounds(pairs),
        "per_clip_ms": durations.per_clip(pairs),
    }


def _settings(options: RunOptions) -> dict[str, Any]:
    return {
        "questions": list(options.prompts),
        "gamma": "auto" if options.gamma is None else options.gamma,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "mode": options.mode,
        "seed": options.seed,
        "exact": options.exact,
        "max_tokens": options.max_tokens,
    }


def _costs(curve: Curve) -> dict[str, Any]:
    return {
        "step_ms": round(curve.step_s * 1e3, 4),
        "draft_ms": round(curve.draft_s * 1e3, 4),
        "c": estimate(curve.c),
        "v": [{"rows": m, **(estimate(found) or {})} for m, found in enumerate(curve.v, 1)],
    }


def _memory(seen: Measured) -> dict[str, Any]:
    return {
        "rss_bytes": seen.resident_bytes,
        "peak_rss_bytes": seen.peak_bytes,
        "kv_bytes": sum(each.cache for each in seen.memory.values()),
        "engines": {
            part: {
                "file_bytes": held.file,
                "rss_bytes": held.resident,
                "system_bytes": held.system,
                "kv_bytes": held.cache,
            }
            for part, held in seen.memory.items()
        },
    }


def _power(seen: Measured) -> dict[str, Any]:
    drafted = [pair.drafted for pair in seen.pairs]
    totals = [s.power.total for s in seen.sampler.fast if s.power.total is not None]
    spread = Spread.of(totals)
    rails = _ranges([s.power.rails for s in seen.sampler.fast])
    return {
        "rails_w": rails,
        "mean_w": round(spread.mean, 4) if spread else None,
        "max_w": round(spread.max, 4) if spread else None,
        "samples": len(seen.sampler.fast),
        "drafted": _energy(seen.sampler, drafted),
        "plain": _energy(seen.sampler, [pair.plain for pair in seen.pairs]),
    }


def _energy(sampler: Sampler, takes: Sequence[Take]) -> dict[str, float | None]:
    """Of seeing a clip and answering about it; None without a sensor."""
    joules = sampler.energy_j((take.began, take.ended) for take in takes)
    answers = sum(len(take.answers) for take in takes)
    tokens = sum(len(a.decoding.tokens) for take in takes for a in take.answers)
    return {
        "energy_j": None if joules is None else round(joules, 4),
        "energy_per_answer_j": None if joules is None else round(joules / answers, 5),
        "energy_per_token_j": None if joules is None else round(joules / tokens, 6),
    }


def _questions(pair: Pair) -> range:
    return range(len(pair.drafted.answers))


def _answer(index: int, pair: Pair, number: int) -> dict[str, Any]:
    drafted, plain = pair.drafted.answers[number], pair.plain.answers[number]
    one, other = drafted.decoding, plain.decoding
    return {
        "clip": index,
        "question": drafted.question,
        "tokens": len(one.tokens),
        "equal": one.tokens == other.tokens,
        "rounds": one.rounds,
        "drafted": one.drafted,
        "accepted": one.accepted,
        "early_drafted": one.early_drafted,
        "early_accepted": one.early_accepted,
        "answer_ms": round(one.answer_s * 1e3, 4),
        "first_token_ms": round(one.first_token_s * 1e3, 4),
        "decode_ms": round(one.decode_s * 1e3, 4),
        "decoded": one.decoded,
        "plain_answer_ms": round(other.answer_s * 1e3, 4),
        "plain_first_token_ms": round(other.first_token_s * 1e3, 4),
        "plain_decode_ms": round(other.decode_s * 1e3, 4),
        "plain_decoded": other.decoded,
    }


def _rounds(pairs: Sequence[Pair]) -> list[list[int]]:
    """[clip, drafted, accepted, emitted] of each later round of the drafted answers, in order."""
    return [
        [index, r.drafted, r.accepted, r.emitted]
        for index, pair in enumerate(pairs)
        for r in later_rounds(pair.drafted)
    ]


def _ranges(samples: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, lowest and highest of each sensor."""
    values: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.items():
            values.setdefault(name, []).append(value)
    return {
        name: {"mean": round(sum(v) / len(v), 4), "min": round(min(v), 4), "max": round(max(v), 4)}
        for name, v in values.items()
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
