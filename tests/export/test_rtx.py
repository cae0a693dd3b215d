"""TensorRT-RTX as a judge: it builds what export writes, and refuses what it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.export.graphs import FLOAT, HALF, WEIGHT, graph, product, unary, value
from xsd_edge.errors import BundleError, ExtraMissingError
from xsd_edge.export import rtx

pytestmark = [pytest.mark.host, pytest.mark.rtx]
needed = pytest.mark.skipif(not rtx.available(), reason="tensorrt-rtx-cu12 is not installed")


def written(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "part.onnx"
    onnx.save(model, str(path))
    return path


@needed
def test_int8_pairs_with_float16_compile(tmp_path: Path) -> None:
    compiled = rtx.compile_engine(written(tmp_path, product()))
    assert compiled.size > 1000
    assert compiled.seconds > 0


def mixed_types() -> onnx.ModelProto:
    """FP16 x FP32 without a cast: a strongly typed network must not mend it."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    inputs, outputs = [value("x", HALF, [4, 16])], [value("y", HALF, [4, 8])]
    return graph([node], inputs, outputs, {"w": WEIGHT.astype(np.float32)})


def integer_product() -> onnx.ModelProto:
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])
    back = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])
    return graph([node, back], [value("x", FLOAT, [4, 16])], [value("y", FLOAT, [4, 16])])


@needed
@pytest.mark.parametrize(
    "model",
    [
        product(np.array(3, np.int8)),
        product(np.array(128, np.uint8)),
        mixed_types(),
        integer_product(),
        unary("NoSuchOperator"),
    ],
    ids=["zero point", "uint8", "mixed types", "DynamicQuantizeLinear", "unknown"],
)
def test_mistakes_are_refused(tmp_path: Path, model: onnx.ModelProto) -> None:
    with pytest.raises(BundleError, match=r"TensorRT-RTX refuses .*part\.onnx"):
        rtx.compile_engine(written(tmp_path, model))


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtx, "MODULE", "tensorrt_rtx_that_is_not_there")
    with pytest.raises(ExtraMissingError, match=r"xsd-edge\[rtx\]"):
        rtx.compile_engine(written(tmp_path, product()))
