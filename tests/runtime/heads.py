"""A small draft head with random weights, as it is trained and as either board runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import DrafterInfo, Part
from xsd_edge.runtime.onnx_engine import OnnxEngine

if TYPE_CHECKING:  # only a build host has torch
    from xsd_edge.export.networks import Network
    from xsd_edge.models.drafter import Drafter

WIDTH, VOCABULARY, TOKENS, GAMMA, ROOM = 24, 30, 16, 5, 32
DRAFTED = np.arange(3, 27, 2)  # the reduced vocabulary, as ids of the target
INFO = DrafterInfo(width=32, heads=2, head_width=16, context=ROOM, gamma_max=GAMMA)


class SmallHead(NamedTuple):
    """The torch drafter, its head's graph with the cache and without, and an embedding table."""

    drafter: Drafter
    cached: OnnxEngine
    plain: OnnxEngine
    plain_part: Part
    table: NDArray[np.float16]


def small_head(folder: Path) -> SmallHead:
    import torch

    from xsd_edge.export.cached import cached
    from xsd_edge.export.networks import draft_head_network
    from xsd_edge.models.drafter import Drafter
    from xsd_edge.recipe import DrafterSpec

    torch.manual_seed(0)
    spec = DrafterSpec(
        trained="",
        event_side=16,
        event_bins=2,
        event_patch=4,
        event_hidden=12,
        event_layers=1,
        event_heads=2,
        align_hidden=16,
        head_width=INFO.width,
        head_heads=INFO.heads,
        head_intermediate=20,
        head_context=ROOM,
        gamma_max=GAMMA,
    )
    drafter = Drafter(spec, WIDTH, len(DRAFTED)).eval()
    network = draft_head_network(drafter.head, spec, WIDTH, TOKENS)
    table = np.random.default_rng(1).normal(size=(VOCABULARY, WIDTH)).astype(np.float16)
    plain, part = _graph(network, folder / "plain.onnx")
    with_cache, _ = _graph(cached(network, DRAFTED), folder / "cached.onnx")
    return SmallHead(drafter, with_cache, plain, part, table)


def _graph(network: Network, path: Path) -> tuple[OnnxEngine, Part]:
    import onnx

    from xsd_edge.export.onnx_graph import OPSET, tensor_specs, write_graph

    write_graph(network, path)
    graph = onnx.load(str(path)).graph
    specs = (tensor_specs(graph.input), tensor_specs(graph.output))
    return OnnxEngine(path), Part(network.name, {}, "fp32", *specs, OPSET)
