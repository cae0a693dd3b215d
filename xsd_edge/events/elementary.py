"""Elementary functions whose bits are the same on every machine.

NumPy's own pick other code for other processors and differ in the last place, and one place is
enough to move an event; matrix products sum in another order as well. Here are additions, products,
quotients and roots only, one rounding each, which IEEE 754 defines to the last bit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# ln 2 in two parts: a product of the first with a small whole number is exact in float32.
LN2_HIGH: Final = np.float32(355 / 512)
LN2_LOW: Final = np.float32(0.6931471805599453 - 355 / 512)
ROOT_HALF: Final = np.float32(0.5**0.5)


def log(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural logarithm of positive numbers, to 2e-7 of its value or 1e-7.

    x = m 2^e with m around 1, and ln m = 2 artanh((m - 1) / (m + 1)) as a series.
    """
    mantissa, exponent = np.frexp(x)
    small = mantissa < ROOT_HALF
    mantissa = np.where(small, mantissa * np.float32(2), mantissa)
    whole = (exponent - small).astype(np.float32)
    s = (mantissa - np.float32(1)) / (mantissa + np.float32(1))
    square = s * s
    series = np.zeros_like(s)
    for power in (9, 7, 5, 3):
        series = (series + np.float32(1 / power)) * square
    rest = whole * LN2_LOW + np.float32(2) * (s + s * series)
    return np.asarray(whole * LN2_HIGH + rest, np.float32)


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """e to the power of numbers from -2 to 2, by its series."""
    total = np.ones_like(x)
    for n in range(30, 0, -1):
        total = 1 + total * x / n
    return total


def sine_of_turns(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """sin(2 pi x), by its series around the nearest zero."""
    nearest = np.rint(turns * 2)
    x = (turns - nearest / 2) * (2 * np.pi)
    square, total = x * x, np.ones_like(x)
    for n in range(22, 1, -2):
        total = 1 - total * square / (n * (n + 1))
    return np.asarray(np.where(nearest % 2 == 0, x, -x) * total)
