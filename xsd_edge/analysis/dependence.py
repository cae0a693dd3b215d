"""How much one modality's features say about the other's, clip by clip."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xsd_edge.analysis.distances import Cloud

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of the critic, in units of the features' mean variance
SHARPNESS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # of its softmax; both are picked on training pairs


def linear_cka(x: Cloud, y: Cloud) -> float:
    """Centred kernel alignment with linear kernels, from the unbiased HSIC. [n, d], [n, e], n > 3.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) (Kornblith et al., ICML 2019) with the estimator of
    Song et al. (JMLR 13, 2012, eq. 5): the biased one comes near 1 for independent features as soon
    as they have more dimensions than there are pairs. 1 for features equal up to rotation and
    scale, about 0 for independent ones (and then sometimes below).
    """
    x, y = x - x.mean(0), y - y.mean(0)  # changes nothing but rounding
    own, other = x @ x.T, y @ y.T
    return _hsic(own, other) / float(np.sqrt(max(_hsic(own, own) * _hsic(other, other), 1e-300)))


def _hsic(own: Cloud, other: Cloud) -> float:
    """Unbiased estimate from two Gram matrices [n, n]."""
    n = len(own)
    own, other = own.copy(), other.copy()
    np.fill_diagonal(own, 0.0)
    np.fill_diagonal(other, 0.0)
    traces = float((own * other).sum())
    means = float(own.sum() * other.sum()) / ((n - 1) * (n - 2))
    rows = 2 * float(own.sum(0) @ other.sum(0)) / (n - 2)
    return (traces + means - rows) / (n * (n - 3))


Indices: TypeAlias = NDArray[np.int64]


class Information(NamedTuple):
    """A lower bound on mutual information, and the most that the bound could have said."""

    nats: float
    ceiling: float  # log of the number of pairs it was evaluated on


def info_nce(x: Cloud, y: Cloud, seed: int = 0) -> Information:
    """InfoNCE lower bound on I(x; y), in nats. [n, d], [n, e]; row i of both is one clip.

    mean over i of log(exp f(x_i, y_i) / mean over j of exp f(x_i, y_j)) (van den Oord et al. 2018,
    arXiv 1807.03748; Poole et al., ICML 2019, eq. 12). It holds for any critic f that has not seen
    the pairs it is evaluated on, so half of the pairs fit f (a linear map of x onto y by ridge
    regression, then a scaled cosine) and the other half evaluate it. It cannot exceed log(n / 2),
    and a better critic could only raise it.
    """
    order = np.random.default_rng(seed).permutation(len(x))
    fitted, held = np.array_split(order, 2)
    inner, judged = np.array_split(fitted, 2)
    candidates = [(ridge, sharp) for ridge in RIDGES for sharp in SHARPNESS]

    def judge(choice: tuple[float, float]) -> float:
        return _bound(_scores(x, y, inner, judged, *choice))

    best = max(candidates, key=judge)
    return Information(_bound(_scores(x, y, fitted, held, *best)), float(np.log(len(held))))


def _scores(
    x: Cloud, y: Cloud, fit: Indices, held: Indices, ridge: float, sharpness: float
) -> Cloud:
    """The critic's f(x_i, y_j) for the held pairs. [m, m]"""
    x, y = x - x[fit].mean(0), y - y[fit].mean(0)
    gram = x[fit].T @ x[fit]
    penalty = ridge * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram + max(penalty, 1e-12) * np.eye(len(gram)), x[fit].T @ y[fit])
    guess, truth = x[held] @ weights, y[held]
    scale = np.linalg.norm(guess, axis=1)[:, None] * np.linalg.norm(truth, axis=1)[None]
    return np.asarray(sharpness * (guess @ truth.T) / np.maximum(scale, 1e-12))


def _bound(scores: Cloud) -> float:
    top = scores.max(1, keepdims=True)
    spread = np.log(np.exp(scores - top).mean(1)) + top[:, 0]
    return float((np.diag(scores) - spread).mean())
