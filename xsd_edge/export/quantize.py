"""INT8 for the small networks: explicit symmetric Q/DQ pairs, as TensorRT takes them.

Weight products and convolutions only. Attention's own products stay in floating point, so that
TensorRT may fuse them, and so do norms, softmax and residual sums. `pack_blocks` is the other INT8,
for networks that run one row at a time on a CPU: what counts there is how many bytes are read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from xsd_edge.export.onnx_graph import quiet, strip

Feeds: TypeAlias = Mapping[str, NDArray[Any]]

QUANTIZED = ("MatMul", "Gemm", "Conv")
SETTINGS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,  # TensorRT 10.3 is only known to fold pairs, not bare DQ
    "QuantizeBias": False,
    "DedicatedQDQPair": False,
    "OpTypesToExcludeOutputQuantization": list(QUANTIZED),
}


def quantize(source: Path, destination: Path, batches: Sequence[Feeds]) -> None:
    """Write `source` with INT8 Q/DQ pairs, activation ranges being the extremes over `batches`."""
    with tempfile.TemporaryDirectory() as scratch, quiet():
        prepared = Path(scratch, "prepared.onnx")
        # ORT's own optimizer would turn MatMul + Add into Reshape + Gemm + Reshape.
        quant_pre_process(
            str(source), str(prepared), skip_optimization=True, skip_symbolic_shape=True
        )
        quantize_static(
            str(prepared),
            str(destination),
            _Batches(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=attention_products(onnx.load(str(prepared))),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=SETTINGS,
        )
    model = onnx.load(str(destination))
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(destination))


def pack_blocks(source: Path, destination: Path) -> None:
    """Write `source` with its weight products packed."""
    model = pack_products(onnx.load(str(source)))
    strip(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(destination))


def pack_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every weight product with INT8 blocks of 32, in ONNX Runtime's own MatMulNBits."""
    with quiet():  # importing it sets up logging for the whole process
        from onnxruntime.quantization import matmul_nbits_quantizer as packing

        settings = packing.DefaultWeightOnlyQuantConfig(
            block_size=32, is_symmetric=True, accuracy_level=4, bits=8
        )
        packer = packing.MatMulNBitsQuantizer(model, algo_config=settings)
        packer.process()
    packed: onnx.ModelProto = packer.model.model
    return packed


def attention_products(model: onnx.ModelProto) -> list[str]:
    """Names of the products of two activations."""
    constants = {weight.name for weight in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and not constants.intersection(node.input)
    ]


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    def __init__(self, batches: Sequence[Feeds]) -> None:
        self._batches: Iterator[Feeds] = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        feeds = next(self._batches, None)
        return None if feeds is None else {k: np.ascontiguousarray(v) for k, v in feeds.items()}
