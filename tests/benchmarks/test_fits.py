"""benchmarks/fits.py: finds what was planted."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fits import line

X = np.array([1.0, 2, 4, 8, 16, 32])


def test_a_planted_line_is_found() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, len(X))
    found = line(list(X), list(3.0 + 0.5 * X + noise))
    assert found.slope == pytest.approx(0.5, rel=0.02)
    assert found.intercept == pytest.approx(3.0, rel=0.05)
    assert found.linear


def test_a_planted_bend_is_told() -> None:
    found = line(list(X), list(1.0 + X + 0.1 * X**2))
    assert found.bend == pytest.approx(0.1 * 32**2 / (1 + 32 + 0.1 * 32**2))
    assert not found.linear


def test_what_does_not_grow_has_no_slope() -> None:
    found = line(list(X), [5.0] * len(X))
    assert found.slope == pytest.approx(0.0)
    assert found.bend == pytest.approx(0.0)
