"""The Python builder's calls against the real TensorRT-RTX, which compiles without a GPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import TINY_BUNDLE
from xsd_edge.build.builder import CompileError, CompileOptions, compile_onnx
from xsd_edge.bundle import Bundle
from xsd_edge.runtime import tensorrt_api

pytestmark = [
    pytest.mark.rtx,
    pytest.mark.skipif(
        find_spec("tensorrt_rtx") is None,
        reason='TensorRT-RTX is missing (pip install "xsd-edge[rtx]")',
    ),
]
BUNDLE = Bundle(TINY_BUNDLE)
FOR_SM86 = CompileOptions(capabilities=("SM86",))  # the nearest that it knows to Orin's 8.7


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("part", ["alignment", "event_encoder"])
def test_it_compiles_a_part(part: str, precision: str) -> None:
    api = tensorrt_api.load(tensorrt_api.RTX)
    made = compile_onnx(api, BUNDLE.graph(part, precision), FOR_SM86)
    assert len(made.plan) > 1000
    assert made.timing_cache == b""


def test_what_the_parser_says_is_told(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"\x08\x07 no graph")
    with pytest.raises(CompileError, match=r"cannot read .*bad\.onnx: .+"):
        compile_onnx(tensorrt_api.load(tensorrt_api.RTX), bad, FOR_SM86)


def test_what_the_builder_says_is_told() -> None:
    """A graph whose axes vary has no optimization profile here: engine parts have fixed axes."""
    with pytest.raises(CompileError, match=r"cannot build .*fp32\.onnx: .*profile"):
        compile_onnx(
            tensorrt_api.load(tensorrt_api.RTX), BUNDLE.graph("draft_head", "fp32"), FOR_SM86
        )


def test_it_has_no_precision_flags() -> None:
    """As TensorRT 11: there the weakly typed way does not exist."""
    assert not tensorrt_api.is_weakly_typed(tensorrt_api.load(tensorrt_api.RTX))
