"""One small network as the graphs that a board runs, each judged before it goes into a bundle."""

from __future__ import annotations

from collections.abc import Sequence
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
from xsd_edge.export.onnx_graph import write_graph
from xsd_edge.export.parity import Arrays, Parity, check_network, references
from xsd_edge.export.quantize import pack_blocks, quantize
from xsd_edge.export.sensitivity import too_costly
from xsd_edge.export.smoothing import smooth

# Milliseconds of one run on one core of an x86 server with VNNI (benchmarks/precisions.py), fp32 /
# int8 with Q/DQ / int8_blocks: vision 1.1 / 1.9, event encoder 2.6 / 5.7, draft head 0.59 / 0.59 /
# 0.32. The other parts lose by int8 too, and run once a clip.
BLOCKS_FOR = ("draft_head",)  # on boards that run ONNX Runtime
ENGINE_PRECISIONS = ("fp16", "int8")  # the first is what a board has to have


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
    network: Network, ranges: PartRanges, checking: Sequence[Feeds], folder: Path
) -> SmallPart:
    """Graphs whose axes vary: float32, INT8 pairs, and INT8 blocks where they are faster.

    Raises:
        BundleError: a graph does not answer as PyTorch does.
    """
    expected = references(network, checking)
    smoothed = smooth(network.module, ranges)
    default = "int8_blocks" if network.name in BLOCKS_FOR else "fp32"
    made = SmallPart(default, checking[0], expected[0], _kept(ranges))
    made.graphs = {p: folder / f"{p}.onnx" for p in ("fp32", "int8")}
    write_graph(network, made.graphs["fp32"])
    source, quantized = made.graphs.values()
    quantize(source, quantized, network.module, smoothed, tuple(made.kept), checking[0])
    if network.name in BLOCKS_FOR:
        made.graphs["int8_blocks"] = folder / "int8_blocks.onnx"
        pack_blocks(made.graphs["fp32"], made.graphs["int8_blocks"])
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
    twins = {"fp32": scratch / "fp32.onnx", "int8_fp32": scratch / "int8_fp32.onnx"}
    write_graph(network, twins["fp32"])
    source, quantized = twins.values()
    quantize(source, quantized, network.module, smoothed, tuple(made.kept), checking[0])
    for twin, precision in zip(tuple(twins), ENGINE_PRECISIONS, strict=True):
        if precision not in precisions:
            continue
        made.rows.append(check_network(network, twins[twin], twin, checking, expected))
        graph = made.graphs[precision] = folder / f"{precision}.onnx"
        onnx.save(to_half(onnx.load(str(twins[twin]))), str(graph))
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
    model = onnx.load(str(graph))
    onnx.checker.check_model(model, full_check=True)
    require_clean(part, model)


def _kept(ranges: PartRanges) -> dict[str, float]:
    return {path: ranges.costs[path] for path in too_costly(ranges.costs)}
