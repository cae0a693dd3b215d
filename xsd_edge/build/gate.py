"""The parity gate: an engine that does not reproduce the bundle's reference outputs is not used."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from xsd_edge.bundle import Part
from xsd_edge.errors import BundleError
from xsd_edge.runtime.cosines import row_cosines
from xsd_edge.runtime.engine import Array, Arrays, Engine


class Reference(NamedTuple):
    """What went into a part on the build host, and what came out."""

    feeds: dict[str, Array]
    outputs: dict[str, Array]

    @classmethod
    def load(cls, part: Part, path: Path) -> Reference:
        """Raises BundleError where an input or output is missing."""
        with np.load(path, allow_pickle=False) as arrays:
            try:
                feeds = {s.name: np.ascontiguousarray(arrays[f"in.{s.name}"]) for s in part.inputs}
                outputs = {s.name: arrays[f"out.{s.name}"] for s in part.outputs}
            except KeyError as error:
                raise BundleError(f"{path}: {error}; export the bundle again") from error
        return cls(feeds, outputs)

    def blank(self) -> dict[str, Array]:
        """Arrays for an engine to write its own outputs to; NaN, so that what stays unwritten
        fails.
        """
        return {name: np.full_like(array, np.nan) for name, array in self.outputs.items()}


def least_cosine(engine: Engine, reference: Reference) -> float:
    """The least row cosine of all outputs; NaN where the engine answers with one."""
    found = reference.blank()
    engine.run(reference.feeds, found)
    return min_cosine(reference.outputs, found)


def min_cosine(expected: Arrays, found: Arrays) -> float:
    rows = [row_cosines(array, found[name]).min() for name, array in expected.items()]
    return float(np.min(rows))  # numpy's minimum keeps a NaN


def passes(cosine: float, tolerance: float) -> bool:
    return cosine >= tolerance  # False for NaN
