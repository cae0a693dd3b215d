"""FP16 graphs: typed throughout, float32 at the edges, and where a row's sum would overflow."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.export.graphs import FLOAT, HALF, graph, product, value
from xsd_edge.export.half import LEAST_SCALE, to_half
from xsd_edge.export.lint import lint

pytestmark = pytest.mark.host


def answers(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """By ONNX's own reference: ONNX Runtime 1.23 quantizes float16 weights wrongly on CPUs."""
    return [np.asarray(y) for y in list(ReferenceEvaluator(model).run(None, {"x": x}))]


def norm(width: int = 16) -> onnx.ModelProto:
    """An RMS norm in primitive operators, as the draft head has it."""
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["squares"]),
        helper.make_node("ReduceMean", ["squares", "axes"], ["mean"]),
        helper.make_node("Add", ["mean", "eps"], ["shifted"]),
        helper.make_node("Sqrt", ["shifted"], ["root"]),
        helper.make_node("Reciprocal", ["root"], ["rate"]),
        helper.make_node("Mul", ["x", "rate"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "weight"], ["y"]),
    ]
    constants = {
        "axes": np.array([-1]),
        "eps": np.array(1e-5, np.float32),
        "weight": np.linspace(0.5, 2, width, dtype=np.float32),
    }
    sides = [1, 3, width]
    return graph(nodes, [value("x", FLOAT, sides)], [value("y", FLOAT, sides)], constants)


def test_edges_stay_float32_and_weights_become_half() -> None:
    model = to_half(product(element=FLOAT))
    onnx.checker.check_model(model, full_check=True)
    assert lint(model) == []
    edges = (*model.graph.input, *model.graph.output)
    assert all(v.type.tensor_type.elem_type == FLOAT for v in edges)
    kinds = {c.name: c.data_type for c in model.graph.initializer}
    assert set(kinds.values()) == {HALF, TensorProto.INT8}


def test_it_answers_alike() -> None:
    x = np.random.default_rng(0).normal(size=(1, 4, 16)).astype(np.float32)
    (wanted,) = answers(product(element=FLOAT), x)
    (found,) = answers(to_half(product(element=FLOAT)), x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-2)


def test_sums_of_squares_do_not_overflow() -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 16)).astype(np.float32) * 3000
    (found,) = answers(to_half(norm()), x)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, answers(norm(), x)[0], rtol=5e-3, atol=5e-3)


def test_which_nodes_are_wide_depends_on_the_graph_alone() -> None:
    """Wrappers of protobuf's nodes come and go: whoever tells them by identity errs at times."""
    made = {to_half(norm()).SerializeToString(deterministic=True) for _ in range(20)}
    assert len(made) == 1
    wide = [n.op_type for n in to_half(norm()).graph.node if n.op_type == "Cast"]
    assert len(wide) == 3  # in, behind the root, out; the squares read the input as it is


def test_an_output_that_is_read_inside_too() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])]
    outputs = [value("y", FLOAT, [1, 4]), value("z", FLOAT, [1, 4])]
    model = to_half(graph(nodes, [value("x", FLOAT, [1, 4])], outputs))
    assert lint(model) == []
    x = np.array([[-1, 2, 3, -4]], np.float32)
    y, z = answers(model, x)
    assert y.tolist() == [[0, 2, 3, 0]]
    assert np.array_equal(z, -y)


def test_numbers_beyond_half_are_clamped_and_scales_stay_above_zero() -> None:
    model = product(element=FLOAT, scale=1e-9)
    model.graph.initializer[2].CopyFrom(
        numpy_helper.from_array(np.full((16, 8), 1e6, np.float32), "w")
    )
    made = to_half(model)
    constants = {c.name: numpy_helper.to_array(c) for c in made.graph.initializer}
    assert float(constants["w_half"].max()) == 65504
    assert constants["s_half"] >= np.float16(LEAST_SCALE)
