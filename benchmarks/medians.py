"""A figure as benchmarks report it: the median of many runs and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000


def figure(values: Sequence[float]) -> dict[str, object]:
    """Median and its 95 % percentile bootstrap interval (Efron and Tibshirani 1993)."""
    rng, data = np.random.default_rng(0), np.asarray(values, np.float64)
    draws = np.median(rng.choice(data, (RESAMPLES, len(data))), axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return {
        "value": round(float(np.median(data)), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "n": len(data),
    }
