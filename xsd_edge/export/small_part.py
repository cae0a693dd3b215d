"""One small network as the graphs that a board runs, each judged before it goes into a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from xsd_edge.boards import Board
from xsd_edge.calibration.batches import Feeds
from xsd_edge.calibration.ranges import PartRanges
from xsd_edge.errors import RecipeError
from xsd_edge.export import rtx
from xsd_edge.export.fixed import fixed, fixed_feeds
from xsd_edge.export.half import to_half
from xsd_edge.export.lint import require_clean
from xsd_edge.export.networks import Network
from xsd_edge.export.onnx_graph import join, read_graph, write_graph
from xsd_edge.export.parity import Arrays, Parity, check_network, references
from xsd_edge.export.quantize import pack_blocks, quantize
from xsd_edge.export.sensitivity import too_costly
from xsd_edge.export.smoothing import smooth

# Milliseconds of one run on one core of an x86 server with VNNI (benchmarks/precisions.py), fp32 /
# int8 with Q/DQ / int4_blocks: vision 2.0 / 4.0, event encoder 4.1 / 10.3, draft head 0.63 / 0.36 /
# 0.31. The other parts lose by int8 too, and run once a clip. Of the target's own drafts as many
# stand with INT4 as with INT8 (docs/performance.md).
BLOCKS_FOR = ("draft_head",)  # on boards that run ONNX Runtime
ENGINE_PRECISIONS = ("fp16", "int8")  # the first is what a board has to have
TWIN = {"fp16": "fp32", "int8": "int8_fp32"}  # what parity calls the graph that each is made from


@dataclass
class SmallPart:
    """What has become of one network: graphs by precision, how they compare, what stayed float."""

    default: str
    inputs: Feeds  # of the reference
    outputs: Arrays
    kept: dict[str, float]  # layers left in floating point, and what INT8 would have cost them
    graphs: dict[str, Path] = field(default_factory=dict)
    rows: list[Parity] = field(default_factory=list)
    compiled: dict[str, rtx.Compiled] = field(default_factory=dict)


def for_cpu(
    network: Network, ranges: PartRanges, checking: Sequence[Feeds], folder: Path, scratch: Path
) -> SmallPart:
    """Graphs whose axes vary: float32, INT8 pairs, and INT4 blocks where they are faster.

    They are made in `scratch`, with their weights beside them.

    Raises:
        BundleError: a graph does not answer as PyTorch does.
    """
    expected = references(network, checking)
    smoothed = smooth(network.module, ranges)
    default = "int4_blocks" if network.name in BLOCKS_FOR else "fp32"
    made = SmallPart(default, checking[0], expected[0], _kept(ranges))
    for precision, twin in _twins(network, smoothed, made.kept, scratch).items():
        made.graphs[precision] = folder / f"{precision}.onnx"
        join(twin, made.graphs[precision])
    if network.name in BLOCKS_FOR:
        made.graphs["int4_blocks"] = folder / "int4_blocks.onnx"
        pack_blocks(made.graphs["fp32"], made.graphs["int4_blocks"])
    for precision, graph in made.graphs.items():
        made.rows.append(check_network(network, graph, precision, checking, expected))
    return made


def for_engine(
    network: Network,
    ranges: PartRanges,
    checking: Sequence[Feeds],
    sizes: dict[str, int],
    precisions: Sequence[str],
    folder: Path,
    scratch: Path,
) -> SmallPart:
    """Strongly typed graphs with fixed axes, float16 and INT8 with float16, for TensorRT; those of
    the `precisions` that the board has.

    Both are made from float32 twins, which stay in `scratch` and are judged too: ONNX Runtime has
    no float16 kernels on CPUs, so that a difference between twin and graph is float16's own.

    Raises:
        BundleError: a graph does not answer as PyTorch does, TensorRT 10.3 would not take it, or
            TensorRT-RTX does not compile it.
    """
    checking = fixed_feeds(network, checking, sizes)
    network = fixed(network, sizes)
    expected = references(network, checking)
    smoothed = smooth(network.module, ranges)
    made = SmallPart("fp16", checking[0], expected[0], _kept(ranges))
    twins = _twins(network, smoothed, made.kept, scratch)
    for precision, twin in zip(ENGINE_PRECISIONS, twins.values(), strict=True):
        if precision not in precisions:
            continue
        made.rows.append(check_network(network, twin, TWIN[precision], checking, expected))
        graph = made.graphs[precision] = folder / f"{precision}.onnx"
        onnx.save(to_half(read_graph(twin), twin.parent), str(graph))
        judge(network.name, graph)
        made.rows.append(check_network(network, graph, precision, checking, expected))
        if rtx.available():
            made.compiled[precision] = rtx.compile_engine(graph)
    return made


def require_engines(board: Board) -> None:
    """Raises RecipeError where a board runs engines, but not the ones that are exported."""
    if board.engine == "tensorrt" and ENGINE_PRECISIONS[0] not in board.precisions:
        raise RecipeError(
            f"{board.name} has no {ENGINE_PRECISIONS[0]}, which every engine part needs; "
            "add it to the board's precisions"
        )


def judge(part: str, graph: Path) -> None:
    """ONNX's own checker, then our lint."""
    onnx.checker.check_model(str(graph), full_check=True)
    require_clean(part, onnx.load(str(graph)))


def _twins(
    network: Network, ranges: PartRanges, kept: Iterable[str], scratch: Path
) -> dict[str, Path]:
    """The float32 graphs of a smoothed network, without pairs and with them."""
    twins = {"fp32": scratch / "fp32.onnx", "int8": scratch / "int8.onnx"}
    write_graph(network, twins["fp32"])
    quantize(twins["fp32"], twins["int8"], network.module, ranges, tuple(kept))
    return twins


def _kept(ranges: PartRanges) -> dict[str, float]:
    return {path: ranges.costs[path] for path in too_costly(ranges.costs)}
