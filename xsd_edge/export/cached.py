"""The draft head where ONNX Runtime's CPU runs it: with its cache inside, and inputs for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from xsd_edge.calibration.batches import Feeds
from xsd_edge.errors import RecipeError
from xsd_edge.export.networks import Network
from xsd_edge.models.cached_head import CachedHead
from xsd_edge.models.drafter import DraftHead
from xsd_edge.recipe import DrafterSpec

HEAD_STEP = 16  # a head's width is a multiple of this in ONNX Runtime's GroupQueryAttention
OUTPUTS = ("drafted", "logits", "feature_out", "keys", "values")


def require_head(spec: DrafterSpec) -> None:
    """Raises RecipeError where ONNX Runtime's attention over a cache does not take such heads."""
    if spec.head_width % (HEAD_STEP * spec.head_heads):
        raise RecipeError(
            f"a head of the draft head is {spec.head_width} / {spec.head_heads} wide, and ONNX "
            f"Runtime takes multiples of {HEAD_STEP}; change head_width or head_heads"
        )


def with_cache(
    network: Network, feeds: list[Feeds], vocabulary: NDArray[np.integer]
) -> tuple[Network, list[Feeds]]:
    """A part and its inputs as ONNX Runtime's CPU runs it: all but the draft head stay."""
    if network.name != "draft_head":
        return network, feeds
    network = cached(network, vocabulary)
    return network, cached_feeds(network, feeds)


def cached(network: Network, vocabulary: NDArray[np.integer]) -> Network:
    """The draft head's network with its cache inside. `vocabulary` [Vd] are its tokens' numbers."""
    assert isinstance(network.module, DraftHead)
    module = CachedHead(network.module, torch.from_numpy(vocabulary.astype(np.int64)))
    plain = dict(zip(network.inputs, (t.numpy() for t in network.example), strict=True))
    example = {n: torch.from_numpy(a) for n, a in _feeds(plain, module.room).items()}
    rows = {name: {1: "m"} for name in ("token", "hidden", "feature")}
    return replace(
        network,
        module=module.train(False),
        inputs=tuple(example),
        outputs=OUTPUTS,
        example=tuple(example.values()),
        dynamic={**rows, "table": {0: "V"}},
    )


def cached_feeds(network: Network, batches: Sequence[Feeds]) -> list[Feeds]:
    """The same inputs as `cached(network, ...)` reads them."""
    assert isinstance(network.module, CachedHead)
    return [_feeds(feeds, network.module.room) for feeds in batches]


def _feeds(feeds: Feeds, room: int) -> Feeds:
    """The rows' own embeddings stand for the target's table; what a graph gathers from it is then
    the rows.
    """
    past, rows = feeds["past_keys"].shape[1], feeds["embedding"].shape[1]
    behind = ((0, 0), (0, 0), (0, room - past), (0, 0))
    caches = {
        name: np.pad(feeds[name].transpose(0, 2, 1, 3), behind)
        for name in ("past_keys", "past_values")
    }
    total = np.array([past + rows], np.int32)
    return {
        "token": np.arange(rows)[None],
        "table": feeds["embedding"][0].astype(np.float16),
        "hidden": feeds["hidden"],
        "feature": feeds["feature"],
        "newest": total - 1,
        "total": total,
        **caches,
        "memory_keys": feeds["memory_keys"],
        "memory_values": feeds["memory_values"],
    }
