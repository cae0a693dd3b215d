"""The verdict in words, for what can come out."""

from __future__ import annotations

import numpy as np
import pytest

from xsd_edge.profiling.curve import Curve
from xsd_edge.profiling.statistics import Estimate
from xsd_edge.profiling.taps import RoundCall
from xsd_edge.profiling.verdict import Speedups, round_steps, thresholds, verdict

MS = 1e-3
# A plain step of 10 ms, passes of 1..4 rows, 1 ms a drafted token.
CURVE = Curve(np.array([[10.0, 12.0, 15.0, 18.0]] * 5) * MS, np.full(5, 1.0 * MS))


def speedups(whole: Estimate, decode: Estimate | None = None) -> Speedups:
    return Speedups(decode, whole, None, None, None)


@pytest.mark.parametrize(
    ("decode", "whole", "alpha", "helps", "text"),
    [
        (
            Estimate(1.8, 1.7, 1.9), Estimate(1.5, 1.4, 1.6), 0.8, True,
            "speculation helps here: 1.80\u00d7 [1.70, 1.90] in decoding, "
            "1.50\u00d7 [1.40, 1.60] from the clip's end to the answer",
        ),
        (
            Estimate(0.8, 0.7, 0.9), Estimate(0.9, 0.8, 0.95), 0.3, False,
            "turn it off: 0.80\u00d7 [0.70, 0.90] in decoding, 0.90\u00d7 [0.80, 0.95] from the "
            "clip's end to the answer; acceptance 0.30 is below the least break-even of 0.40",
        ),
        (
            None, Estimate(1.0, 0.99, 1.01), None, False,
            "turn it off: 1.00\u00d7 [0.99, 1.01] from the clip's end to the answer; "
            "nothing was drafted",
        ),
        (
            Estimate(1.3, 0.9, 1.9), Estimate(1.2, 0.9, 1.6), 0.8, None,
            "cannot tell from 4 answers: 1.30\u00d7 [0.90, 1.90] in decoding, 1.20\u00d7 "
            "[0.90, 1.60] from the clip's end to the answer; acceptance 0.80 is above the least "
            "break-even of 0.40; measure more clips",
        ),
    ],
)  # fmt: skip
def test_verdict(
    decode: Estimate | None, whole: Estimate, alpha: float | None, helps: bool | None, text: str
) -> None:
    found = verdict(speedups(whole, decode), alpha, 0.4, 4)
    assert found == {"helps": helps, "text": text}


def test_curve_in_plain_steps() -> None:
    assert CURVE.step_s == pytest.approx(0.01)
    assert CURVE.c == pytest.approx((0.1, 0.1, 0.1))
    assert [v.value for v in CURVE.v] == pytest.approx([1.0, 1.2, 1.5, 1.8])
    assert CURVE.v[0] == (1.0, 1.0, 1.0)


def test_what_a_round_should_cost() -> None:
    def done(drafted: int, head_steps: int) -> RoundCall:
        return RoundCall(0.0, 1, drafted, 0, 0.0, 1.0, 0.0, head_steps)

    assert round_steps(done(0, 0), CURVE) == pytest.approx(1.0)
    assert round_steps(done(3, 3), CURVE) == pytest.approx(0.3 + 1.8)
    assert round_steps(done(3, 0), CURVE) == pytest.approx(1.8)  # looked up


def test_thresholds() -> None:
    found = thresholds(CURVE, 0.9)
    assert [each["gamma"] for each in found] == [1, 2, 3]
    assert found[0]["alpha"] == pytest.approx(0.3)  # 1 + alpha = 0.1 + 1.2
    assert found[0]["speedup_at_alpha"] == pytest.approx(1.9 / 1.3, abs=1e-5)
    assert thresholds(CURVE, None)[0]["speedup_at_alpha"] is None
