"""INT8 for the small networks: explicit symmetric Q/DQ pairs, as TensorRT takes them.

Weight products and convolutions only. Attention's own products stay in floating point, so that
TensorRT may fuse them, and so do norms, softmax and residual sums. `pack_blocks` is the other INT8,
for networks that run one row at a time on a CPU: what counts there is how many bytes are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import nn

from xsd_edge.calibration.batches import Feeds
from xsd_edge.calibration.ranges import PartRanges, is_product
from xsd_edge.export.onnx_graph import quiet, strip

QUANTIZED = ("MatMul", "Gemm", "Conv")
SETTINGS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,  # TensorRT 10.3 is only known to fold pairs, not bare DQ
    "QuantizeBias": False,
    "DedicatedQDQPair": False,
    "OpTypesToExcludeOutputQuantization": list(QUANTIZED),
}


def quantize(
    source: Path,
    destination: Path,
    module: nn.Module,
    ranges: PartRanges,
    kept: Sequence[str],
    feeds: Feeds,
) -> None:
    """Write `source`, the graph of `module`, with INT8 Q/DQ pairs around its weight products.

    `ranges` are the magnitudes of what each layer reads; the layers in `kept` stay as they are.
    `feeds` is one set of inputs: ORT insists on running the graph once.
    """
    model = onnx.load(str(source))
    layers = layers_of(model, module)
    excluded = [
        node.name
        for node in model.graph.node
        if node.op_type in QUANTIZED and (node.name not in layers or layers[node.name] in kept)
    ]
    # Extremes of the whole calibration set in place of those of the one run.
    known = {
        node.input[0]: [_range(ranges.inputs[layers[node.name]])]
        for node in model.graph.node
        if node.name in layers and node.name not in excluded
    }
    del model  # ORT makes copies of its own
    with quiet():
        # Not after `quant_pre_process`: ORT's own optimizer, which that calls, would turn
        # MatMul + Add into Reshape + Gemm + Reshape.
        quantize_static(
            str(source),
            str(destination),
            _Once(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={**SETTINGS, "TensorQuantOverrides": known},
        )
    model = onnx.load(str(destination))
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(destination))


def layers_of(model: onnx.ModelProto, module: nn.Module) -> dict[str, str]:
    """Node name -> path of the layer whose weights the node multiplies by.

    Matched by the weights themselves: exporters name nodes as they like.
    """
    paths: dict[bytes, str] = {}
    for path, layer in module.named_modules():
        if is_product(layer):
            weight = layer.get_parameter("weight").detach().numpy()
            for form in (weight, weight.T) if weight.ndim == 2 else (weight,):
                paths.setdefault(_digest(form), path)
    constants = {c.name: c for c in model.graph.initializer}
    return {
        node.name: paths[_digest(numpy_helper.to_array(constants[node.input[1]]))]
        for node in model.graph.node
        if node.op_type in QUANTIZED and node.input[1] in constants
    }


def _digest(array: NDArray[Any]) -> bytes:
    return sha256(str(array.shape).encode() + np.ascontiguousarray(array).tobytes()).digest()


def _range(largest: float) -> dict[str, Any]:
    bound = max(largest, 1e-6)  # a layer that reads nothing but zeros needs a scale all the same
    return {"rmin": np.float32(-bound), "rmax": np.float32(bound)}


def pack_blocks(source: Path, destination: Path) -> None:
    """Write `source` with its weight products packed."""
    model = pack_products(onnx.load(str(source)))
    strip(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(destination))


def pack_products(model: onnx.ModelProto, accuracy_level: int = 4) -> onnx.ModelProto:
    """Every weight product with INT8 blocks of 32, in ONNX Runtime's own MatMulNBits.

    Accuracy level 4 lets a CPU round activations to int8 too; 0 leaves them as they are.
    """
    with quiet():  # importing it sets up logging for the whole process
        from onnxruntime.quantization import matmul_nbits_quantizer as packing

        settings = packing.DefaultWeightOnlyQuantConfig(
            block_size=32, is_symmetric=True, accuracy_level=accuracy_level, bits=8
        )
        packer = packing.MatMulNBitsQuantizer(model, algo_config=settings)
        packer.process()
    packed: onnx.ModelProto = packer.model.model
    return packed


class _Once(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    def __init__(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        self._left = [{k: np.ascontiguousarray(v) for k, v in feeds.items()}]

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return self._left.pop() if self._left else None
