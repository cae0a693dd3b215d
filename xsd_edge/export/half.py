"""FP16 for TensorRT's strongly typed networks: every type is written in the graph itself.

Weights, constants and what lies between become float16; inputs and outputs stay float32 behind
casts. What sums over a whole row stays float32 too: the squares of an RMS norm leave float16's
range from 256 on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import uses_external_data

LARGEST = 65504.0  # of float16
LEAST_SCALE = 1e-6  # of a Q/DQ pair: smaller ones come near to float16's zero
WIDE = ("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2")
BEHIND_WIDE = ("Add", "Sqrt", "Reciprocal")  # the rest of a norm's denominator
SHORT: dict[int, str] = {TensorProto.FLOAT: "float", TensorProto.FLOAT16: "half"}


def to_half(model: onnx.ModelProto, folder: Path | None = None) -> onnx.ModelProto:
    """A float32 graph, with or without Q/DQ pairs, as a float16 graph that holds its weights; those
    of the float32 one may lie in `folder`. The argument is consumed.
    """
    converted = _Half(model).run()
    del converted.graph.value_info[:]
    # Before the weights come in: types are inferred on copies.
    typed = onnx.shape_inference.infer_shapes(converted, check_type=True, strict_mode=True)
    for constant in typed.graph.initializer:
        if uses_external_data(constant):
            assert folder is not None
            _fill(constant, folder)
    return typed


def _fill(constant: onnx.TensorProto, folder: Path) -> None:
    """Read a constant's numbers; whoever lies outside and is called float16 is float32 there."""
    wanted = constant.data_type
    constant.data_type = TensorProto.FLOAT if wanted == TensorProto.FLOAT16 else wanted
    array = numpy_helper.to_array(constant, str(folder))
    array = _half_array(array) if wanted == TensorProto.FLOAT16 else array
    constant.CopyFrom(numpy_helper.from_array(array, constant.name))


class _Half:
    """One conversion on its way."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model, self._graph = model, model.graph
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self._type = {v.name: v.type.tensor_type.elem_type for v in values}
        self._constants = {c.name: c for c in self._graph.initializer}
        self._type |= {name: c.data_type for name, c in self._constants.items()}
        self._scales = {
            node.input[1] for node in self._graph.node if node.op_type.endswith("tizeLinear")
        }
        self._wide = _wide_nodes(self._graph)
        self._now = dict(self._type)  # the type that a name has in the new graph
        self._nodes: list[onnx.NodeProto] = []
        self._made: dict[tuple[str, int], str] = {}  # (name, type) -> the name that has this type
        self._new_constants: list[onnx.TensorProto] = []

    def run(self) -> onnx.ModelProto:
        outputs = {value.name for value in self._graph.output}
        for node in self._graph.node:
            wanted = TensorProto.FLOAT if node.output[0] in self._wide else TensorProto.FLOAT16
            for index, name in enumerate(node.input):
                if self._type.get(name) == TensorProto.FLOAT:
                    node.input[index] = self._as(name, wanted)
            _retype_attributes(node, wanted)
            self._nodes.append(node)
            for index, name in enumerate(node.output):
                if self._type.get(name) == TensorProto.FLOAT:
                    self._now[name] = wanted
                    if name in outputs and wanted == TensorProto.FLOAT16:
                        self._cast_output(node, index, name)
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        self._new_constants += self._constants.values()
        self._graph.initializer.extend(c for c in self._new_constants if c.name in used)
        return self._model

    def _as(self, name: str, wanted: int) -> str:
        """The name under which a float tensor can be had in a type; casts it at most once."""
        if self._now[name] == wanted:
            return name
        if (name, wanted) not in self._made:
            changed = f"{name}_{SHORT[wanted]}"
            self._made[name, wanted] = changed
            if name in self._constants:
                constant = self._half_constant(name, changed)
                self._new_constants.append(constant)
            else:
                self._nodes.append(_cast(name, changed, wanted))
        return self._made[name, wanted]

    def _half_constant(self, name: str, changed: str) -> onnx.TensorProto:
        constant = self._constants[name]
        if uses_external_data(constant):
            renamed = onnx.TensorProto()
            renamed.CopyFrom(constant)
            renamed.name, renamed.data_type = changed, TensorProto.FLOAT16
            return renamed
        array = numpy_helper.to_array(constant)
        if name in self._scales:
            array = np.maximum(array, LEAST_SCALE)
        return numpy_helper.from_array(_half_array(array), changed)

    def _cast_output(self, node: onnx.NodeProto, index: int, name: str) -> None:
        """Give the graph's output back its float32; those who read it inside read the half."""
        inner = f"{name}_half"
        node.output[index] = inner
        self._nodes.append(_cast(inner, name, TensorProto.FLOAT))
        self._now[name] = TensorProto.FLOAT
        self._made[name, TensorProto.FLOAT16] = inner


def _half_array(
    array: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    return np.clip(array, -LARGEST, LARGEST).astype(np.float16)


def _cast(name: str, changed: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [changed], name=f"cast_{changed}", to=to)


def _retype_attributes(node: onnx.NodeProto, wanted: int) -> None:
    """Constants and casts inside the graph name a float type of their own."""
    if wanted != TensorProto.FLOAT16:
        return
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = wanted
        elif attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(attribute.t)
            attribute.t.CopyFrom(numpy_helper.from_array(_half_array(array), attribute.t.name))


def _wide_nodes(graph: onnx.GraphProto) -> set[str]:
    """The nodes that stay in float32, by their first output: row sums, their squares, and roots of
    them.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    wide: set[str] = set()
    for node in graph.node:
        if node.op_type not in WIDE:
            continue
        wide.add(node.output[0])
        before = made_by.get(node.input[0])
        if before is not None and _is_square(before):
            wide.add(before.output[0])
        after = readers.get(node.output[0], [])
        while len(after) == 1 and after[0].op_type in BEHIND_WIDE:
            wide.add(after[0].output[0])
            after = readers.get(after[0].output[0], [])
    return wide


def _is_square(node: onnx.NodeProto) -> bool:
    same = node.op_type == "Mul" and node.input[0] == node.input[1]
    return same or node.op_type == "Pow"
