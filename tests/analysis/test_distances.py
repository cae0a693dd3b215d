"""Distances against closed forms: Gaussians, shifted clouds, a cloud and itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from xsd_edge.analysis import distances

RNG = np.random.default_rng(0)
BEGINNING = RNG.bit_generator.state


def gaussians(n: int, d: int, shift: float = 0.0, scale: float = 1.0) -> NDArray[np.float64]:
    return np.asarray(RNG.normal(size=(n, d)) * scale + shift / np.sqrt(d))


@pytest.fixture(scope="module", autouse=True)
def pot() -> None:
    pytest.importorskip("ot", reason='POT is missing (pip install "xsd-edge[analysis]")')


@pytest.fixture(autouse=True)
def alike_in_any_order() -> None:
    RNG.bit_generator.state = BEGINNING


def test_a_cloud_is_no_distance_from_itself() -> None:
    x = gaussians(60, 8)
    assert distances.wasserstein(x, x) == pytest.approx(0, abs=1e-6)
    assert distances.sliced_wasserstein(x, x) == pytest.approx(0, abs=1e-6)
    assert distances.centroid_gap(x, x) == 0


@pytest.mark.parametrize("shift", [0.5, 3.0])
def test_a_shifted_copy_is_as_far_as_the_shift(shift: float) -> None:
    """Moving every vector by one step is the cheapest plan; of a slice it keeps shift / sqrt(d)."""
    x = gaussians(80, 6)
    y = x + shift / np.sqrt(6)
    assert distances.wasserstein(x, y) == pytest.approx(shift, rel=1e-6)
    assert distances.centroid_gap(x, y) == pytest.approx(shift, rel=1e-6)
    sliced = distances.sliced_wasserstein(x, y)
    assert sliced == pytest.approx(shift / np.sqrt(6), rel=0.15)


def test_one_dimension_is_solved_by_sorting() -> None:
    x, y = gaussians(50, 1), gaussians(50, 1, shift=1.0, scale=2.0)
    exact = np.sqrt(np.mean((np.sort(x[:, 0]) - np.sort(y[:, 0])) ** 2))
    assert distances.wasserstein(x, y) == pytest.approx(exact)
    assert distances.sliced_wasserstein(x, y) == pytest.approx(exact)


def test_gaussians_of_different_width_come_near_the_closed_form() -> None:
    """W2^2 of N(0, I) and N(m, s^2 I) is |m|^2 + d (1 - s)^2."""
    x, y = gaussians(600, 2), gaussians(600, 2, shift=2.0, scale=3.0)
    assert distances.wasserstein(x, y) == pytest.approx(np.sqrt(4 + 2 * 4), rel=0.08)


def slow_squared_mmd(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    pooled = np.concatenate([x, y])
    apart = [((a - b) ** 2).sum() for i, a in enumerate(pooled) for b in pooled[:i]]
    width = np.median(apart)

    def k(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * width)))

    own = [
        np.mean([k(a, b) for i, a in enumerate(c) for j, b in enumerate(c) if i != j])
        for c in (x, y)
    ]
    return float(own[0] + own[1] - 2 * np.mean([k(a, b) for a in x for b in y]))


def test_mmd_is_its_own_loop() -> None:
    x, y = gaussians(12, 3), gaussians(9, 3, shift=1.0)
    assert distances.squared_mmd(x, y) == pytest.approx(slow_squared_mmd(x, y))


def test_mmd_is_unbiased() -> None:
    """Samples of one distribution: the mean over many draws is zero, so about half are negative."""
    drawn = [distances.squared_mmd(gaussians(20, 4), gaussians(20, 4)) for _ in range(400)]
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / np.sqrt(len(drawn))
    assert min(drawn) < 0 < max(drawn)


def test_mmd_of_shifted_gaussians_comes_near_the_closed_form() -> None:
    """E k(a, b) of N(m, I) and N(n, I) is (s^2 / (s^2 + 2))^(d/2) exp(-|m - n|^2 / 2(s^2 + 2))."""
    d, shift = 3, 1.5
    found, truth = [], []
    for _ in range(25):  # one draw is off by 13 %
        x, y = gaussians(300, d), gaussians(300, d, shift=shift)
        pooled = distances.squared_distances(np.concatenate([x, y]), np.concatenate([x, y]))
        width = float(np.median(pooled[np.triu_indices(len(pooled), 1)]))
        same = (width / (width + 2)) ** (d / 2)
        truth.append(2 * same * (1 - np.exp(-(shift**2) / (2 * (width + 2)))))
        found.append(distances.squared_mmd(x, y))
    assert np.mean(found) == pytest.approx(np.mean(truth), rel=0.1)


def test_clouds_of_one_point_do_not_divide_by_nothing() -> None:
    x = np.ones((5, 3))
    assert distances.squared_mmd(x, x) == pytest.approx(0)
