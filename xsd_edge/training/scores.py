"""Scores of a probability forecast: is it calibrated, does it rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 10


def calibration_error(predicted: ArrayLike, happened: ArrayLike) -> float | None:
    """Expected calibration error over ten equal bins of [0, 1]; None without forecasts.

    Sum over bins of (share of forecasts in it) |mean forecast - share that came true| (Guo et al.,
    ICML 2017, eq. 3). Biased upwards where bins hold few forecasts.
    """
    forecast, truth = _arrays(predicted, happened)
    if len(forecast) == 0:
        return None
    number = np.minimum((forecast * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(number, forecast - truth, BINS)
    return float(np.abs(gaps).sum() / len(forecast))


def auroc(predicted: ArrayLike, happened: ArrayLike) -> float | None:
    """P(a forecast that came true was higher than one that did not), ties half; None if one-sided.

    The area under the ROC curve by ranks (Hanley and McNeil, Radiology 143, 1982).
    """
    forecast, truth = _arrays(predicted, happened)
    true, false = int(truth.sum()), int(len(truth) - truth.sum())
    if not true or not false:
        return None
    _, place, count = np.unique(forecast, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[truth > 0].sum() - true * (true + 1) / 2) / (true * false))


def _arrays(
    predicted: ArrayLike, happened: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    forecast = np.asarray(predicted, np.float64).ravel()
    truth = np.asarray(happened, np.float64).ravel()
    assert len(forecast) == len(truth)
    return forecast, truth
