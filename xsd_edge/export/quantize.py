"""INT8 for the small networks: explicit symmetric Q/DQ pairs, as TensorRT takes them.

Weight products and convolutions only. Attention's own products stay in floating point, so that
TensorRT may fuse them, and so do norms, softmax and residual sums. `pack_blocks` is for networks
that run one row at a time on a CPU: what counts there is how many bytes are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn

from xsd_edge.calibration.ranges import PartRanges, is_product
from xsd_edge.export.onnx_graph import array_of, quiet, read_graph, save_checked, strip

QUANTIZED = ("MatMul", "Gemm", "Conv")
LIMIT = 127  # symmetric: -128 is left out
LEAST_RANGE = 1e-6  # a layer that reads nothing but zeros needs a scale all the same


def quantize(
    source: Path, destination: Path, module: nn.Module, ranges: PartRanges, kept: Sequence[str]
) -> None:
    """Write `source`, the graph of `module`, with INT8 Q/DQ pairs around its weight products.

    `ranges` are the magnitudes of what each layer reads; the layers in `kept` stay as they are.
    Both files lie in one folder and share the weights beside `source`: a pair on a weight quantizes
    it when the graph is loaded, and TensorRT 10.3 is only known to fold pairs, not bare DQ.
    """
    model = read_graph(source)
    layers = layers_of(model, module, source.parent)
    pairs = _Pairs(model.graph, source.parent)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        path = layers.get(node.name)
        if path is not None and path not in kept:
            largest = np.float32(max(ranges.inputs[path], LEAST_RANGE))
            nodes += pairs.on_activation(node, largest)
            nodes += pairs.on_weight(node)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    save_checked(model, destination)


class _Pairs:
    """The pairs of one graph: one for each tensor, however many products read it.

    Only products read what a pair gives: norms, sums and the graph's outputs have the tensor as it
    was, which ONNX Runtime's `quantize_static` does not grant them.
    """

    def __init__(self, graph: onnx.GraphProto, folder: Path) -> None:
        self._graph, self._folder = graph, folder
        self._constants = {c.name: c for c in graph.initializer}
        self._made: set[str] = set()

    def on_activation(self, node: onnx.NodeProto, largest: np.float32) -> list[onnx.NodeProto]:
        return self._pair(node, 0, largest / LIMIT)

    def on_weight(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """A scale for each output channel."""
        weight = array_of(self._constants[node.input[1]], self._folder)
        axis = _output_axis(node)
        largest = np.abs(weight).max(tuple(i for i in range(weight.ndim) if i != axis))
        return self._pair(node, 1, np.where(largest > 0, largest / LIMIT, 1), axis)

    def _pair(
        self, node: onnx.NodeProto, index: int, scale: Any, axis: int | None = None
    ) -> list[onnx.NodeProto]:
        """Let `node` read input `index` through a pair; returns the pair where it is new."""
        name = node.input[index]
        quantized, dequantized = f"{name}_quantized", f"{name}_dequantized"
        node.input[index] = dequantized
        if name in self._made:
            return []
        self._made.add(name)
        scales = np.asarray(scale, np.float32)
        steps = [f"{name}_scale", f"{name}_zero"]
        zeros = np.zeros(scales.shape, np.int8)
        from_array = numpy_helper.from_array
        self._graph.initializer.extend([from_array(scales, steps[0]), from_array(zeros, steps[1])])
        make: Any = helper.make_node  # its types allow no attributes
        along = {} if axis is None else {"axis": axis}
        return [
            make("QuantizeLinear", [name, *steps], [quantized], quantized, **along),
            make("DequantizeLinear", [quantized, *steps], [dequantized], dequantized, **along),
        ]


def _output_axis(node: onnx.NodeProto) -> int:
    """Which axis of a product's weights has one entry for each output channel."""
    if node.op_type == "Conv" or any(a.name == "transB" and a.i for a in node.attribute):
        return 0
    return 1


def layers_of(model: onnx.ModelProto, module: nn.Module, folder: Path) -> dict[str, str]:
    """Node name -> path of the layer whose weights, which lie in `folder`, the node multiplies by.

    Matched by the weights themselves: exporters name nodes as they like.
    """
    paths: dict[bytes, str] = {}
    for path, layer in module.named_modules():
        if is_product(layer):
            paths.setdefault(_digest(layer.get_parameter("weight").detach().numpy()), path)
    constants = {c.name: c for c in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type in QUANTIZED and node.input[1] in constants:
            weight = array_of(constants[node.input[1]], folder)
            found[node.name] = paths[_digest(np.moveaxis(weight, _output_axis(node), 0))]
    return found


def _digest(array: NDArray[Any]) -> bytes:
    return sha256(str(array.shape).encode() + np.ascontiguousarray(array).tobytes()).digest()


def pack_blocks(source: Path, destination: Path) -> None:
    """Write `source` with its weight products packed into INT4."""
    model = pack_products(onnx.load(str(source)), bits=4)
    strip(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(destination))


def pack_products(
    model: onnx.ModelProto, accuracy_level: int = 4, bits: int = 8
) -> onnx.ModelProto:
    """Every weight product with integer blocks of 32, in ONNX Runtime's own MatMulNBits.

    Accuracy level 4 lets a CPU round activations to int8 too; 0 leaves them as they are.
    """
    with quiet():  # importing it sets up logging for the whole process
        from onnxruntime.quantization import matmul_nbits_quantizer as packing

        settings = packing.DefaultWeightOnlyQuantConfig(
            block_size=32, is_symmetric=True, accuracy_level=accuracy_level, bits=bits
        )
        packer = packing.MatMulNBitsQuantizer(model, algo_config=settings)
        packer.process()
    packed: onnx.ModelProto = packer.model.model
    return packed
