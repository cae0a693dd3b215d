"""Does speculation help here? Speed-ups as measured and as predicted, and the answer in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsd_edge.profiling.acceptance import estimate
from xsd_edge.profiling.arms import Pair, Take
from xsd_edge.profiling.curve import Curve
from xsd_edge.profiling.speed import break_even, speedup
from xsd_edge.profiling.statistics import Estimate, ratio
from xsd_edge.profiling.taps import RoundCall

TIMES = "\u00d7"
WORTH_MENTIONING = 1.05  # a speed-up that is certainly below this is none


@dataclass(frozen=True, slots=True)
class Speedups:
    """Plain time over drafted time. None where nothing was decoded."""

    decode: Estimate | None  # per token, behind the question's own pass
    answer: Estimate | None  # from the clip's end to the whole answer
    first_token: Estimate | None
    decode_predicted: float | None
    answer_predicted: float | None

    @classmethod
    def of(cls, pairs: Sequence[Pair], curve: Curve) -> Speedups:
        drafted, plain = (np.array([_sums(t) for t in takes]) for takes in zip(*pairs, strict=True))
        cost = [round_steps(r, curve) for pair in pairs for r in later_rounds(pair.drafted)]
        brought = sum(r.emitted for pair in pairs for r in later_rounds(pair.drafted))
        steps, step = sum(cost), curve.step_s
        first, other = drafted[:, 2].sum(), plain[:, 2].sum()
        slow = other + plain[:, 1].sum() * step
        return cls(
            decode=ratio(_columns(plain, drafted, 0, 1), _columns(drafted, plain, 0, 1)),
            answer=ratio(plain[:, 3:], drafted[:, 3:]),
            first_token=ratio(plain[:, 2:3], drafted[:, 2:3]),
            decode_predicted=brought / steps if steps else None,
            answer_predicted=float(slow / (first + steps * step)) if steps else None,
        )

    def to_json(self) -> dict[str, Any]:
        def beside(measured: Estimate | None, predicted: float | None) -> dict[str, Any]:
            rounded = None if predicted is None else round(predicted, 5)
            return {"measured": estimate(measured), "predicted": rounded}

        return {
            "decode": beside(self.decode, self.decode_predicted),
            "answer": beside(self.answer, self.answer_predicted),
            "first_token": {"measured": estimate(self.first_token)},
        }


def later_rounds(take: Take) -> list[RoundCall]:
    """The rounds that cost a pass of their own: all but each answer's first."""
    return [r for r in take.rounds if r.verify_s]


def early_rounds(take: Take) -> list[RoundCall]:
    """Each answer's first round, which judges what the question's pass brought."""
    return [r for r in take.rounds if not r.verify_s]


def round_steps(done: RoundCall, curve: Curve) -> float:
    """What the round should cost in plain steps: a looked-up draft takes no step of the head."""
    v = curve.v_values
    return done.head_steps * curve.c_value + float(np.interp(done.drafted, range(len(v)), v))


def thresholds(curve: Curve, alpha: float | None) -> list[dict[str, Any]]:
    """Break-even acceptance for each draft length, and the speed-up that the measured one gives."""
    c, v = curve.c_value, curve.v_values
    found = []
    for gamma in range(1, len(v)):
        least = break_even(gamma, c, v)
        gain = None if alpha is None else round(speedup(alpha, gamma, c, v), 5)
        rounded = None if least is None else round(least, 5)
        found.append({"gamma": gamma, "alpha": rounded, "speedup_at_alpha": gain})
    return found


def verdict(
    speedups: Speedups, alpha: float | None, least: float | None, answers: int
) -> dict[str, Any]:
    """`helps` is None where the measurements cannot tell. Judged by the whole answer's time."""
    whole = speedups.answer
    assert whole is not None, "an answer takes time"
    figures = f"{_said(whole)} from the clip's end to the answer"
    if speedups.decode is not None:
        figures = f"{_said(speedups.decode)} in decoding, {figures}"
    if whole.low > 1:
        return {"helps": True, "text": f"speculation helps here: {figures}"}
    why = ""
    if alpha is not None and least is not None:
        below = "below" if alpha < least else "above"
        why = f"; acceptance {alpha:.2f} is {below} the least break-even of {least:.2f}"
    elif alpha is None:
        why = "; nothing was drafted"
    if whole.high < WORTH_MENTIONING:
        return {"helps": False, "text": f"turn it off: {figures}{why}"}
    return {
        "helps": None,
        "text": f"cannot tell from {answers} answers: {figures}{why}; measure more clips",
    }


def _sums(take: Take) -> tuple[float, float, float, float]:
    """Decoding seconds, tokens that they brought, first-token seconds, answer seconds."""
    done = [answer.decoding for answer in take.answers]
    return (
        sum(d.decode_s for d in done),
        sum(d.decoded for d in done),
        sum(d.first_token_s for d in done),
        sum(d.answer_s for d in done),
    )


def _columns(
    one: NDArray[np.float64], other: NDArray[np.float64], first: int, second: int
) -> NDArray[np.float64]:
    return np.stack([one[:, first], other[:, second]], 1)


def _said(found: Estimate) -> str:
    return f"{found.value:.2f}{TIMES} [{found.low:.2f}, {found.high:.2f}]"
