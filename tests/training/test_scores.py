"""Scores of forecasts against cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from xsd_edge.training.scores import auroc, calibration_error

pytestmark = pytest.mark.host


def test_calibration_error_by_hand() -> None:
    """Bin 0.2..0.3: mean forecast 0.25, one of two true. Bin 0.9..1: mean 0.95, both true."""
    found = calibration_error([0.2, 0.3 - 1e-9, 0.9, 1.0], [True, False, True, True])
    assert found == pytest.approx(0.5 * 0.25 + 0.5 * 0.05, abs=1e-6)


def test_a_calibrated_forecast_has_little_error_and_a_shifted_one_its_shift() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.1, 0.8, 40_000)
    happened = rng.random(len(chance)) < chance
    low = calibration_error(chance, happened)
    high = calibration_error(chance + 0.15, happened)
    assert low is not None
    assert high is not None
    assert low < 0.01
    assert high == pytest.approx(0.15, abs=0.01)


def test_auroc_by_hand() -> None:
    """Pairs (true, false): 0.8 > 0.3, 0.8 > 0.5, 0.4 > 0.3, 0.4 < 0.5: three of four."""
    assert auroc([0.8, 0.4, 0.3, 0.5], [1, 1, 0, 0]) == pytest.approx(0.75)
    assert auroc([0.5, 0.5, 0.5], [1, 0, 1]) == pytest.approx(0.5)
    assert auroc([0.1, 0.9], [0, 1]) == 1.0
    assert auroc([0.9, 0.1], [0, 1]) == 0.0


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(1)
    forecast = rng.integers(0, 6, 60) / 6
    happened = rng.random(60) < 0.4
    pairs = [
        float(a > b) + 0.5 * float(a == b) for a in forecast[happened] for b in forecast[~happened]
    ]
    assert auroc(forecast, happened) == pytest.approx(np.mean(pairs))


def test_no_score_without_both_outcomes() -> None:
    assert calibration_error([], []) is None
    assert auroc([0.3, 0.4], [1, 1]) is None
    assert auroc([0.3, 0.4], [0, 0]) is None
