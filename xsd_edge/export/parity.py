"""Does a graph answer as PyTorch does? Cosines and errors of every output row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xsd_edge.calibration.batches import Feeds
from xsd_edge.errors import BundleError
from xsd_edge.export.networks import Network
from xsd_edge.runtime.cosines import row_cosines
from xsd_edge.runtime.onnx_engine import OnnxEngine

Arrays = dict[str, NDArray[Any]]

# The least cosine of any output row that passes. An INT4 graph is compared with itself elsewhere.
# "int8_fp32" is the float32 twin of the INT8 graph that an engine is built from.
TOLERANCE = {
    "fp32": 0.9999,
    "fp16": 0.999,
    "int4_blocks": 0.97,
    "int8_fp32": 0.97,
    "int8": 0.97,
    "int4": 0.95,
}


@dataclass(frozen=True, slots=True)
class Parity:
    """One graph against PyTorch; cosines are of single rows (last dimension) of every output."""

    part: str
    precision: str
    rows: int
    cosine_mean: float
    cosine_min: float
    max_error: float
    tolerance: float

    def require(self) -> None:
        """Raises BundleError where the graph is not the network it should be."""
        if not self.cosine_min >= self.tolerance:  # also where it is not a number
            raise BundleError(
                f"{self.part} in {self.precision} does not answer as PyTorch does: least cosine "
                f"{self.cosine_min:.5f} is below {self.tolerance}; check its calibration set"
            )


def compare(
    part: str, precision: str, pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]
) -> Parity:
    """Sum up (expected, found) arrays of one part."""
    cosines = np.concatenate([row_cosines(a, b) for a, b in pairs])
    error = max(float(np.abs(a - b).max(initial=0.0)) for a, b in pairs)
    return Parity(
        part,
        precision,
        len(cosines),
        round(float(cosines.mean()), 7),
        round(float(cosines.min()), 7),
        float(f"{error:.4g}"),
        TOLERANCE[precision],
    )


def references(network: Network, batches: Sequence[Feeds]) -> list[Arrays]:
    """What PyTorch answers to each batch, by output name."""
    answers = (
        network.reference(*(torch.from_numpy(feeds[name]) for name in network.inputs))
        for feeds in batches
    )
    return [
        {
            name: np.ascontiguousarray(t.numpy())
            for name, t in zip(network.outputs, each, strict=True)
        }
        for each in answers
    ]


def written(
    before: NDArray[Any] | None, wanted: NDArray[Any], found: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of a cache that goes in and comes out whole, the rows that were or should have been written:
    thousands that only stayed as they were would hide these in a mean.
    """
    if before is None or before.shape != wanted.shape:
        return wanted, found
    fresh = (wanted != before).any(-1) | (found != before).any(-1)
    return wanted[fresh], found[fresh]


def check_network(
    network: Network, graph: Path, precision: str, batches: Sequence[Feeds], expected: list[Arrays]
) -> Parity:
    """Run one graph over `batches` and compare."""
    engine = OnnxEngine(graph)
    pairs = []
    for feeds, wanted in zip(batches, expected, strict=True):
        found = {name: np.empty_like(array) for name, array in wanted.items()}
        engine.run(feeds, found)
        # A token's number is no direction: it follows from the logits, which are compared.
        floats = [name for name in network.outputs if wanted[name].dtype.kind == "f"]
        pairs += [written(feeds.get(f"past_{n}"), wanted[n], found[n]) for n in floats]
    engine.close()
    return compare(network.name, precision, pairs)
