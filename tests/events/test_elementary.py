"""Elementary functions: right to their promised accuracy."""

from __future__ import annotations

import numpy as np

from xsd_edge.events import elementary


def test_logarithm() -> None:
    x = np.concatenate([np.geomspace(1e-3, 1e6, 20_001), np.arange(1, 257)]).astype(np.float32)
    np.testing.assert_allclose(
        elementary.log(x), np.log(x.astype(np.float64)), rtol=2e-7, atol=1e-7
    )


def test_exponential() -> None:
    x = np.linspace(-2, 2, 6001)
    np.testing.assert_allclose(elementary.exp(x), np.exp(x), rtol=1e-14)


def test_sine() -> None:
    turns = np.linspace(-5, 5, 10_001)
    np.testing.assert_allclose(
        elementary.sine_of_turns(turns), np.sin(2 * np.pi * turns), atol=1e-13
    )
