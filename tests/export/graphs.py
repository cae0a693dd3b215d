"""Hand-made ONNX graphs: one product, with what can be wrong about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF, INT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8
ZERO = np.array(0, np.int8)
WEIGHT = np.linspace(-1, 1, 128, dtype=np.float16).reshape(16, 8)


def value(name: str, kind: int, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def graph(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, NDArray[Any]] | None = None,
    opset: int = 20,
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    for index, node in enumerate(nodes):
        node.name = node.name or f"{node.op_type}_{index}"
    stored = [numpy_helper.from_array(a, n) for n, a in (constants or {}).items()]
    made = helper.make_graph(nodes, "g", inputs, outputs, stored)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(made, opset_imports=imports, ir_version=10)


def unary(kind: str, element: int = HALF, **attributes: Any) -> onnx.ModelProto:
    """One operator of one input."""
    node = helper.make_node(kind, ["x"], ["y"], **attributes)
    return graph([node], [value("x", element, [1, 4])], [value("y", element, [1, 4])])


def product(
    zero: NDArray[Any] = ZERO,
    scale: float = 0.1,
    element: int = HALF,
    shape: Sequence[int | str] = (1, 4, 16),
    opset: int = 20,
) -> onnx.ModelProto:
    """x [.., 16] through an INT8 pair, times a constant through another: what export writes."""
    weight = WEIGHT.astype(helper.tensor_dtype_to_np_dtype(element))
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("QuantizeLinear", ["w", "ws", "wz"], ["wq"], axis=1),
        helper.make_node("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=1),
        helper.make_node("MatMul", ["d", "wd"], ["y"]),
    ]
    constants = {
        "s": np.array(scale, weight.dtype),
        "z": zero,
        "w": weight,
        "ws": np.full(8, 0.02, weight.dtype),
        "wz": np.zeros(8, np.int8),
    }
    found = [*shape[:-1], 8]
    return graph(
        nodes, [value("x", element, shape)], [value("y", element, found)], constants, opset
    )
