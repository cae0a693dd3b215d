"""The TensorRT 10.3 subset: what export writes passes, and every rule can fail."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.export.graphs import FLOAT, HALF, WEIGHT, graph, product, unary, value
from xsd_edge.errors import BundleError
from xsd_edge.export.lint import RULES, lint, require_clean

pytestmark = pytest.mark.host


def rules(model: onnx.ModelProto) -> set[str]:
    return {finding.rule for finding in lint(model)}


def unsorted() -> onnx.ModelProto:
    model = product()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def same_names() -> onnx.ModelProto:
    model = product()
    model.graph.node[1].name = model.graph.node[0].name
    return model


def made_twice() -> onnx.ModelProto:
    model = product()
    model.graph.node[3].output[0] = "d"
    return model


def no_zero_point() -> onnx.ModelProto:
    model = product()
    del model.graph.node[0].input[2]
    return model


def computed_scale() -> onnx.ModelProto:
    model = product()
    model.graph.node.insert(0, helper.make_node("Abs", ["s"], ["s2"], name="scale"))
    model.graph.node[1].input[1] = "s2"
    return model


def contrib_gelu() -> onnx.ModelProto:
    model = unary("Gelu")
    model.graph.node[0].domain = "com.microsoft"
    return model


def foreign_import() -> onnx.ModelProto:
    model = unary("Relu")
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def adding_scatter() -> onnx.ModelProto:
    node = helper.make_node("ScatterND", ["x", "i", "u"], ["y"], reduction="add")
    inputs = [
        value("x", HALF, [9, 4]),
        value("i", TensorProto.INT64, [3, 1]),
        value("u", HALF, [3, 4]),
    ]
    return graph([node], inputs, [value("y", HALF, [9, 4])])


def computed_axes() -> onnx.ModelProto:
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"])
    inputs = [value("x", HALF, [2, 4]), value("axes", TensorProto.INT64, [1])]
    return graph([node], inputs, [value("y", HALF, [2, 1])])


def forgotten_cast() -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    inputs, outputs = [value("x", FLOAT, [1, 16])], [value("y", FLOAT, [1, 8])]
    return graph([node], inputs, outputs, {"w": WEIGHT.astype(np.float32)})


BAD = {
    "opset 21": (product(opset=21), "opset"),
    "opset 17": (product(opset=17), "opset"),
    "contrib operator": (contrib_gelu(), "domain"),
    "contrib import": (foreign_import(), "domain"),
    "MatMulInteger": (unary("DynamicQuantizeLinear"), "operator"),
    "RMSNormalization": (unary("RMSNormalization"), "operator"),
    "unsorted": (unsorted(), "sorted"),
    "made twice": (made_twice(), "sorted"),
    "names": (same_names(), "names"),
    "dynamic axis": (product(shape=("n", 4, 16)), "axes"),
    "empty axis": (product(shape=(1, 0, 16)), "axes"),
    "double": (unary("Relu", TensorProto.DOUBLE), "types"),
    "bfloat16 cast": (unary("Cast", to=TensorProto.BFLOAT16), "types"),
    "uint8, zero point 128": (product(np.array(128, np.uint8)), "pairs"),
    "uint8, zero point 0": (product(np.array(0, np.uint8)), "pairs"),
    "int8, zero point 3": (product(np.array(3, np.int8)), "pairs"),
    "no zero point": (no_zero_point(), "pairs"),
    "scale 0": (product(scale=0.0), "pairs"),
    "computed scale": (computed_scale(), "pairs"),
    "computed axes": (computed_axes(), "constants"),
    "adding scatter": (adding_scatter(), "scatter"),
    "product in float32": (forgotten_cast(), "precision"),
}


def test_what_export_writes_is_clean() -> None:
    assert lint(product()) == []
    require_clean("vision", product())


@pytest.mark.parametrize(("model", "rule"), BAD.values(), ids=BAD.keys())
def test_each_mistake_is_found(model: onnx.ModelProto, rule: str) -> None:
    assert rule in rules(model)


def test_every_rule_can_fail() -> None:
    for rule in RULES:
        assert any(list(rule(model)) for model, _ in BAD.values()), rule.__name__


def test_the_error_names_part_node_and_rule() -> None:
    with pytest.raises(BundleError, match=r"vision is not .*QuantizeLinear_0: .*not zero.*\[pairs"):
        require_clean("vision", product(np.array(3, np.int8)))
