"""A draft head without a cache, behind the contract of one that has it: engines that TensorRT
builds know neither a table of embeddings nor a cache that they write to.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import Part, TensorSpec
from xsd_edge.runtime.engine import Array, Arrays, Engine, allocate
from xsd_edge.runtime.fixed_head import causal


def cached(engine: Engine, part: Part, vocabulary: NDArray[np.int64]) -> Engine:
    """The draft head's engine as `DraftHead` runs it: itself where its graph has the cache, which
    graphs with a mask have not.
    """
    has_mask = any(spec.name == "mask" for spec in part.inputs)
    return HostedHead(engine, part.outputs, vocabulary) if has_mask else engine


class HostedHead:
    """Does what `models.cached_head` has in its graph: embeddings, cache, mask, greedy choice."""

    def __init__(
        self, engine: Engine, outputs: tuple[TensorSpec, ...], vocabulary: NDArray[np.int64]
    ) -> None:
        self._engine, self._outputs, self._vocabulary = engine, outputs, vocabulary

    def run(self, feeds: Arrays, results: Arrays) -> None:
        token, stop = feeds["token"][0], int(feeds["total"][0])
        rows, past = len(token), stop - len(token)
        inner: dict[str, Array] = {
            "embedding": feeds["table"][token].astype(np.float32)[None],
            "hidden": feeds["hidden"],
            "feature": feeds["feature"],
            "position": np.arange(past, stop),
            "past_keys": _row_major(feeds["past_keys"], past),
            "past_values": _row_major(feeds["past_values"], past),
            "mask": causal(past, rows),
            "memory_keys": feeds["memory_keys"],
            "memory_values": feeds["memory_values"],
        }
        found = allocate(self._outputs, m=rows)
        self._engine.run(inner, found)
        for name in ("keys", "values"):
            results[name][:, :, past:stop] = found[name].transpose(0, 2, 1, 3)
        results["logits"][0, 0] = last = found["logits"][0, -1]
        results["feature_out"][0, 0] = found["feature_out"][0, -1]
        results["drafted"][0, 0] = self._vocabulary[last.argmax()]

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        raise AssertionError("a draft head's cache belongs to who runs it")

    def close(self) -> None:
        self._engine.close()


def _row_major(cache: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """The first rows of a cache [1, heads, C, dh] -> [1, rows, heads, dh], in one block."""
    return np.ascontiguousarray(cache[:, :, :rows].transpose(0, 2, 1, 3))
