"""What TensorRT 10.3 takes of ONNX, checked without TensorRT: the subset that engine parts keep to.

NVIDIA's newest parser takes more than JetPack 6's, and quietly mends some of what it should refuse
(a uint8 pair becomes int8), so passing `rtx` is necessary and not enough. Sources: onnx-tensorrt's
operators.md for 10.x, and trying.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import onnx
from onnx import TensorProto, numpy_helper

from xsd_edge.errors import BundleError

OPSETS = range(19, 21)  # 19: float16 scales; 20: the highest that 10.3 reads
OPERATORS = frozenset(
    re.findall(
        r"\w+",
        """
        Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant
        ConstantOfShape Conv ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Einsum Elu
        Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm
        GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid
        HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log
        LogSoftmax MatMul Max MaxPool Mean Min Mul Neg Not Or PRelu Pad Pow QuantizeLinear Range
        Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
        ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round Selu Shape Sigmoid Sign Sin
        Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK
        Transpose Unsqueeze Where Xor
        """,
    )
)
TYPES = frozenset(
    getattr(TensorProto, name) for name in ("FLOAT", "FLOAT16", "INT8", "INT32", "INT64", "BOOL")
)
PRODUCTS = ("MatMul", "Gemm", "Conv")
# Inputs that must be constants, by their index.
CONSTANT_INPUTS = {
    "ReduceMean": 1,
    "ReduceSum": 1,
    "ReduceMax": 1,
    "ReduceMin": 1,
    "Squeeze": 1,
    "Unsqueeze": 1,
    "Slice": 3,
    "TopK": 1,
    "CumSum": 1,
    "Conv": 1,
}


class Finding(NamedTuple):
    """One thing that TensorRT 10.3 would refuse or misread."""

    rule: str
    where: str  # a node, a tensor, or the graph
    message: str


def lint(model: onnx.ModelProto) -> list[Finding]:
    """Everything about a graph that does not belong into an engine part."""
    return [finding for rule in RULES for finding in rule(model)]


def require_clean(part: str, model: onnx.ModelProto) -> None:
    """Raises BundleError with the first finding, and how many there are."""
    found = lint(model)
    if found:
        first = found[0]
        raise BundleError(
            f"{part} is not for TensorRT 10.3: {first.where}: {first.message} "
            f"[{first.rule}; {len(found)} findings]; export it with the versions that "
            "scripts/setup installs"
        )


def _opset(model: onnx.ModelProto) -> Iterator[Finding]:
    for entry in model.opset_import:
        if entry.domain not in ("", "ai.onnx"):
            yield Finding("domain", "graph", f"imports operators of {entry.domain}")
        elif entry.version not in OPSETS:
            yield Finding("opset", "graph", f"opset {entry.version} is not 19 or 20")


def _operators(model: onnx.ModelProto) -> Iterator[Finding]:
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            yield Finding("domain", node.name, f"{node.op_type} is an operator of {node.domain}")
        elif node.op_type not in OPERATORS:
            yield Finding("operator", node.name, f"{node.op_type} is unknown to TensorRT 10.3")


def _sorted(model: onnx.ModelProto) -> Iterator[Finding]:
    graph = model.graph
    known = {"", *(v.name for v in graph.input), *(c.name for c in graph.initializer)}
    names: set[str] = set()
    for node in graph.node:
        for name in node.input:
            if name not in known:
                yield Finding("sorted", node.name, f"reads {name} before it is made")
        for name in node.output:
            if name and name in known:
                yield Finding("sorted", node.name, f"makes {name} a second time")
        known.update(node.output)
        if node.name in names:
            yield Finding("names", node.name, "has the name of another node")
        names.add(node.name)
    for value in graph.output:
        if value.name not in known:
            yield Finding("sorted", value.name, "is an output that nothing makes")


def _axes(model: onnx.ModelProto) -> Iterator[Finding]:
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param or dimension.dim_value < 1:
                name = dimension.dim_param or dimension.dim_value
                yield Finding("axes", value.name, f"axis {axis} is {name}, not a fixed length")


def _types(model: onnx.ModelProto) -> Iterator[Finding]:
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield from _type(value.name, value.type.tensor_type.elem_type)
    for constant in graph.initializer:
        yield from _type(constant.name, constant.data_type)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "to":
                yield from _type(node.name, attribute.i)


def _type(where: str, found: int) -> Iterator[Finding]:
    if found not in TYPES:
        name = TensorProto.DataType.Name(found)
        yield Finding("types", where, f"{name} is not a type of TensorRT's")


def _pairs(model: onnx.ModelProto) -> Iterator[Finding]:
    constants = {c.name: c for c in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale = constants.get(node.input[1])
        if scale is None:
            yield Finding("pairs", node.name, "its scale is not a constant")
        elif not (numpy_helper.to_array(scale) > 0).all():
            yield Finding("pairs", node.name, "its scale is not above zero")
        zero = constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None:
            yield Finding("pairs", node.name, "it has no zero point: its type would be uint8")
        elif zero.data_type != TensorProto.INT8:
            name = TensorProto.DataType.Name(zero.data_type)
            yield Finding("pairs", node.name, f"it is {name}, not INT8")
        elif numpy_helper.to_array(zero).any():
            yield Finding("pairs", node.name, "its zero point is not zero")


def _constant_inputs(model: onnx.ModelProto) -> Iterator[Finding]:
    constants = {c.name for c in model.graph.initializer}
    made = {name: n for n in model.graph.node for name in n.output}
    folded = ("Constant", "DequantizeLinear")
    for node in model.graph.node:
        index = CONSTANT_INPUTS.get(node.op_type)
        if index is None or index >= len(node.input) or not node.input[index]:
            continue
        name = node.input[index]
        if name not in constants and not (name in made and made[name].op_type in folded):
            yield Finding("constants", node.name, f"input {index} must be a constant")


def _scatter(model: onnx.ModelProto) -> Iterator[Finding]:
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "reduction" and attribute.s not in (b"", b"none"):
                yield Finding("scatter", node.name, f"reduction {attribute.s.decode()}")


def _wide_products(model: onnx.ModelProto) -> Iterator[Finding]:
    """A product in float32 is a cast that somebody forgot: it runs at an eighth of the speed."""
    graph = model.graph
    kind = {c.name: c.data_type for c in graph.initializer}
    for value in (*graph.input, *graph.value_info):
        kind[value.name] = value.type.tensor_type.elem_type
    for node in graph.node:
        if node.op_type in PRODUCTS and TensorProto.FLOAT in map(kind.get, node.input):
            yield Finding("precision", node.name, f"{node.op_type} in float32")


Rule = Callable[[onnx.ModelProto], Iterator[Finding]]
RULES: Sequence[Rule] = (
    _opset,
    _operators,
    _sorted,
    _axes,
    _types,
    _pairs,
    _constant_inputs,
    _scatter,
    _wide_products,
)
