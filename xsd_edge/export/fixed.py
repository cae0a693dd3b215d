"""Engine parts have axes of fixed length: which lengths, and inputs that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from xsd_edge.calibration.batches import Feeds
from xsd_edge.export.networks import Network
from xsd_edge.models.drafter import MASKED

HEAD_ROWS = 16  # of one run of a head: a catch-up after gamma_max accepted drafts, and room


def fixed_sizes(network: Network, contexts: Mapping[str, int]) -> dict[str, int]:
    """Lengths of a part's named dimensions on a board that builds engines; `contexts` are the rows
    of the heads' caches, by part.
    """
    if network.name in contexts:
        past = contexts[network.name]
        return {"m": HEAD_ROWS, "S": past, "T": past + HEAD_ROWS}
    return {"n": 1} if network.name == "vision" else {}


def fixed(network: Network, sizes: dict[str, int]) -> Network:
    """The same network with examples of these sizes and no axis that varies."""

    def sized(name: str, example: Tensor) -> Tensor:
        varies = network.dynamic.get(name, {})
        shape = [sizes[varies[i]] if i in varies else n for i, n in enumerate(example.shape)]
        return torch.zeros(shape, dtype=example.dtype)

    pairs = zip(network.inputs, network.example, strict=True)
    return replace(network, example=tuple(sized(*pair) for pair in pairs), dynamic={})


def fixed_feeds(network: Network, batches: Sequence[Feeds], sizes: dict[str, int]) -> list[Feeds]:
    """The same inputs in the lengths of `fixed(network, sizes)`; every row is a real one."""
    if not sizes:
        return list(batches)
    if network.name == "vision":
        return [{"pixels": frame[None]} for feeds in batches for frame in feeds["pixels"]]
    return [_full_pass(network, feeds, sizes) for feeds in batches if len(feeds["position"]) > 1]


@torch.no_grad()
def _full_pass(network: Network, feeds: Feeds, sizes: dict[str, int]) -> Feeds:
    """The last rows of a catch-up behind those before them; a short one is repeated."""
    rows, room = sizes["m"], sizes["S"]
    total = min(max(len(feeds["position"]), rows + 1), rows + room)
    past = total - rows
    tokens = [n for n in network.inputs if feeds[n].ndim == 3]  # inputs with one row per token
    every = {name: np.resize(feeds[name], (1, total, feeds[name].shape[2])) for name in tokens}
    memory = {name: feeds[name] for name in ("memory_keys", "memory_values")}
    empty = feeds["past_keys"][:, :0]
    before = {
        **{name: array[:, :past] for name, array in every.items()},
        "position": np.arange(past),
        "past_keys": empty,
        "past_values": empty,
        "mask": np.triu(np.full((past, past), MASKED, np.float32), 1),
        **memory,
    }
    *_, keys, values = network.reference(*(torch.from_numpy(before[n]) for n in network.inputs))
    mask = np.full((rows, sizes["T"]), MASKED, np.float32)
    mask[:, :past] = 0
    mask[:, room:] = np.triu(np.full((rows, rows), MASKED, np.float32), 1)
    held = ((0, 0), (0, room - past), (0, 0), (0, 0))
    return {
        **{name: np.ascontiguousarray(array[:, past:]) for name, array in every.items()},
        "position": np.arange(past, total),
        "past_keys": np.pad(keys.numpy(), held),
        "past_values": np.pad(values.numpy(), held),
        "mask": mask,
        **memory,
    }
