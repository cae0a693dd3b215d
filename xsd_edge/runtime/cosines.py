"""How alike two networks answer: cosines of single rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def row_cosines(expected: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of each pair of rows; 1 where both are zero, 0 where one is. [..., n] -> [rows]"""
    a = expected.reshape(-1, expected.shape[-1]).astype(np.float64)
    b = found.reshape(-1, found.shape[-1]).astype(np.float64)
    norms = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    product = norms[0] * norms[1]
    dots = (a * b).sum(1)
    both_zero = (norms[0] == 0) & (norms[1] == 0)
    cosines = np.divide(dots, product, out=np.zeros_like(dots), where=product > 0)
    cosines[np.isnan(product)] = np.nan
    return np.where(both_zero, 1.0, cosines)
