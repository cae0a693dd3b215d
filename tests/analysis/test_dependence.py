"""Dependence: invariances, independence, and a Gaussian channel whose information is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from xsd_edge.analysis.dependence import info_nce, linear_cka


def rotation(d: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def test_cka_sees_through_rotation_scale_and_shift() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 12))
    assert linear_cka(x, x) == pytest.approx(1)
    assert linear_cka(x, 5 * x @ rotation(12, rng) + 3) == pytest.approx(1)


def test_cka_of_independent_features_is_zero_on_average() -> None:
    """Also where dimensions outnumber pairs, where the biased estimator says nearly 1."""
    rng = np.random.default_rng(1)
    drawn = [linear_cka(rng.normal(size=(30, 100)), rng.normal(size=(30, 200))) for _ in range(50)]
    assert abs(np.mean(drawn)) < 0.05


def test_cka_falls_as_noise_drowns_what_is_shared() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 10))
    found = [linear_cka(x, x + s * rng.normal(size=x.shape)) for s in (0.1, 1.0, 10.0)]
    assert found[0] > 0.95 > found[1] > 0.2 > found[2]


def test_information_of_a_gaussian_channel_is_bounded_from_below() -> None:
    """I = -d/2 log(1 - rho^2): the bound stays under it, and finds a good part of it."""
    rng = np.random.default_rng(3)
    d, rho, n = 4, 0.9, 1600
    x = rng.normal(size=(n, d))
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=(n, d))
    truth = -d / 2 * np.log(1 - rho**2)
    found = info_nce(x, y)
    assert found.ceiling == pytest.approx(np.log(n / 2))
    assert 0.5 * truth < found.nats < truth + 0.1


def test_independent_features_share_no_information() -> None:
    rng = np.random.default_rng(4)
    drawn = [
        info_nce(rng.normal(size=(200, 6)), rng.normal(size=(200, 8)), seed).nats
        for seed in range(20)
    ]
    assert np.mean(drawn) < 0.02
    assert max(drawn) < 0.1


def test_the_same_features_reach_near_the_ceiling() -> None:
    x = np.random.default_rng(5).normal(size=(64, 16))
    found = info_nce(x, x)
    assert found.nats > 0.9 * found.ceiling
