"""Distances between two clouds of feature vectors."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import ExtraMissingError

Cloud: TypeAlias = NDArray[np.float64]  # [n, d], one vector a row

PROJECTIONS = 256  # of the sliced distance; its standard error falls with their root


def wasserstein(x: Cloud, y: Cloud) -> float:
    """Exact 2-Wasserstein distance of two empirical distributions, in the vectors' own unit.

    W2^2 = min over couplings T of sum T_ij |x_i - y_j|^2, by the network simplex (Bonneel et al.
    2011, as in POT: Flamary et al., JMLR 22(78), 2021). Biased upwards: two samples of one
    distribution lie apart too, the more so the fewer they are and the more dimensions they have.

    Raises:
        ExtraMissingError: POT is not installed.
    """
    ot = pot()
    squared = float(ot.emd2([], [], squared_distances(x, y), numItermax=10_000_000))
    return float(np.sqrt(max(squared, 0.0)))


def sliced_wasserstein(x: Cloud, y: Cloud, seed: int = 0) -> float:
    """Mean over random directions of the one-dimensional W2^2, then the root.

    Bonneel et al., "Sliced and Radon Wasserstein barycenters", JMIV 51, 2015.

    Raises:
        ExtraMissingError: POT is not installed.
    """
    ot = pot()
    return float(ot.sliced_wasserstein_distance(x, y, n_projections=PROJECTIONS, seed=seed))


def squared_mmd(x: Cloud, y: Cloud) -> float:
    """Squared maximum mean discrepancy with an RBF kernel; unbiased, so it may come out negative.

    mean over i != j of k(x_i, x_j), plus the same of y, minus twice the mean of k(x_i, y_j)
    (Gretton et al., JMLR 13, 2012, eq. 3). k(a, b) = exp(-|a - b|^2 / 2 s^2) where s is the median
    distance of the pooled vectors.
    """
    pooled = squared_distances(np.concatenate([x, y]), np.concatenate([x, y]))
    n, m = len(x), len(y)
    apart = pooled[np.triu_indices(n + m, 1)]
    # Where most vectors coincide the median says nothing of the others' distance.
    width = float(np.median(apart)) or float(apart.mean()) or 1.0
    kernel = np.exp(-pooled / (2 * width))
    within_x = (kernel[:n, :n].sum() - n) / (n * (n - 1))
    within_y = (kernel[n:, n:].sum() - m) / (m * (m - 1))
    return float(within_x + within_y - 2 * kernel[:n, n:].mean())


def centroid_gap(x: Cloud, y: Cloud) -> float:
    """Distance of the two means: the modality gap of Liang et al., NeurIPS 2022."""
    return float(np.linalg.norm(x.mean(0) - y.mean(0)))


def squared_distances(x: Cloud, y: Cloud) -> Cloud:
    """|x_i - y_j|^2. [n, d], [m, d] -> [n, m]"""
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T
    return np.asarray(np.maximum(squares, 0.0), np.float64)


def pot() -> Any:
    """POT itself, which has no types.

    Raises:
        ExtraMissingError: it is not installed.
    """
    try:
        import ot
    except ModuleNotFoundError as error:
        raise ExtraMissingError("a Wasserstein distance", "analysis") from error
    return ot
