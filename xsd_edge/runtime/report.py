"""What `run` says about each answer and about the whole run: dictionaries for --json, lines for
people.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from xsd_edge.runtime.answer import Answer, Decoding, Totals

RECENT = 10_000  # answers whose times are kept for the summary's medians


def _per_round(decoding: Decoding) -> float:
    """Tokens that a target pass behind the question's own brought; plain decoding has 1."""
    return decoding.decoded / decoding.rounds if decoding.rounds else 0.0


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def answer_fields(answer: Answer) -> dict[str, Any]:
    """One JSON line's worth. `acceptance` is null when nothing was drafted."""
    spoken = answer.decoding
    fields: dict[str, Any] = {
        "clip": answer.clip,
        "t0_us": answer.t0_us,
        "t1_us": answer.t1_us,
        "question": answer.question,
        "answer": answer.text,
        "tokens": len(spoken.tokens),
        "rounds": spoken.rounds,
        "drafted": spoken.drafted,
        "accepted": spoken.accepted,
        "acceptance": _share(spoken.accepted, spoken.drafted),
        "early_drafted": spoken.early_drafted,
        "early_accepted": spoken.early_accepted,
        "tokens_per_round": round(_per_round(spoken), 3),
        "ttft_ms": round(spoken.first_token_s * 1e3, 2),
        "answer_ms": round(spoken.answer_s * 1e3, 2),
        "events": answer.events,
        "events_dropped": answer.events_dropped,
        "lossless": True,  # every token was the verifier's decision; no other path emits text
        "stages_ms": {name: round(s * 1e3, 3) for name, s in answer.stages.items()},
    }
    if answer.plain is not None:
        fields["plain_decode_ms"] = round(answer.plain.decode_s * 1e3, 2)
        fields["decode_ms"] = round(spoken.decode_s * 1e3, 2)
        fields["equal"] = answer.mismatch is None
        if answer.mismatch is not None:
            fields["mismatch"] = {
                "position": answer.mismatch.position,
                "margin": round(answer.mismatch.margin, 6),
            }
    return fields


@dataclass
class Summary:
    """Running totals over all answers of a run, however many: nothing grows with them."""

    answered: int = 0
    _all: Totals = field(default_factory=Totals)
    _plain: Totals = field(default_factory=Totals)
    _compared: int = 0
    _different: int = 0
    _first: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _whole: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(self, answer: Answer) -> None:
        self.answered += 1
        self._first.append(answer.decoding.first_token_s)
        self._whole.append(answer.decoding.answer_s)
        self._all.add(answer.decoding)
        if answer.plain is not None:
            self._compared += 1
            self._different += answer.mismatch is not None
            self._plain.add(answer.plain)

    def fields(self, counters: dict[str, int]) -> dict[str, Any]:
        """The last JSON line; `counters` are the reader's."""
        fields: dict[str, Any] = {
            "answers": self.answered,
            "tokens": self._all.tokens,
            "rounds": self._all.rounds,
            "drafted": self._all.drafted,
            "accepted": self._all.accepted,
            "acceptance": _share(self._all.accepted, self._all.drafted),
            "early_drafted": self._all.early_drafted,
            "early_accepted": self._all.early_accepted,
            "tokens_per_round": _share(self._all.decoded, self._all.rounds),
            "ttft_ms": _middle(self._first),
            "answer_ms": _middle(self._whole),
            **counters,
        }
        if self._compared:
            fields["compared"] = self._compared
            fields["mismatches"] = self._different
            plain, spoken = self._plain.seconds_a_token, self._all.seconds_a_token
            fields["decode_speedup"] = _share(plain, spoken)
        return {"summary": fields}


def _middle(seconds: Iterable[float]) -> float | None:
    """Median in milliseconds."""
    ordered = sorted(seconds)
    return round(ordered[len(ordered) // 2] * 1e3, 2) if ordered else None


def answer_head(clip: int, question: str) -> str:
    """What of an answer's line stands before its text."""
    return f"clip {clip} | {question} "


def answer_tail(answer: Answer) -> str:
    """What stands behind it: how the answer came about."""
    spoken, parts = answer.decoding, [""]
    if spoken.early_drafted:
        parts.append(f"{spoken.early_accepted} of {spoken.early_drafted} early drafts accepted")
    if spoken.drafted:
        parts.append(f"{spoken.accepted} of {spoken.drafted} drafts accepted")
    parts.append(f"{_per_round(spoken):.1f} tokens a pass")
    parts.append(f"answer {spoken.answer_s * 1e3:.0f} ms after the clip")
    if answer.mismatch is not None:
        where = answer.mismatch
        parts.append(f"differs from plain at token {where.position} (margin {where.margin:.2g})")
    return " | ".join(parts)
