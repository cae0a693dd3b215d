"""The TensorRT engine against stand-ins for both libraries: order, addresses, answers, errors."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.errors import BundleError, DeviceError, ExtraMissingError
from xsd_edge.runtime.engine import Array, allocate, arrays_for
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.tensorrt_engine import TensorRtEngine

BUNDLE = Bundle(TINY_BUNDLE)


def plan(folder: Path, part: str) -> Path:
    """What the stand-in's builder would write for a part."""
    path = folder / f"{part}.plan"
    onnx = str(BUNDLE.graph(part, "fp32"))
    path.write_text(json.dumps({"tensorrt": "10.3.0", "onnx": onnx}))
    return path


def random_feeds(part: str) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    feeds = allocate(BUNDLE.part(part).inputs)
    for array in feeds.values():
        array[...] = rng.normal(size=array.shape)
    return feeds


@pytest.mark.parametrize("integrated", [True, False])
def test_it_answers_as_onnxruntime_does(fake_gpu: Any, tmp_path: Path, integrated: bool) -> None:
    fake_gpu.board.integrated = integrated
    feeds = random_feeds("alignment")
    expected, found = (allocate(BUNDLE.part("alignment").outputs) for _ in range(2))
    OnnxEngine(BUNDLE.graph("alignment", "fp32")).run(feeds, expected)
    engine = TensorRtEngine(plan(tmp_path, "alignment"))
    for _ in range(2):
        found["aligned"][...] = 0
        engine.run(feeds, found)
        np.testing.assert_allclose(found["aligned"], expected["aligned"], rtol=1e-5)
    engine.close()
    assert fake_gpu.board.leaks == 0


def test_an_integrated_gpu_copies_nothing(fake_gpu: Any, tmp_path: Path) -> None:
    engine = TensorRtEngine(plan(tmp_path, "alignment"))
    assert fake_gpu.board.log == ["mapped", "mapped", "execute", "wait", "execute captured"]
    fake_gpu.board.log.clear()
    engine.run(random_feeds("alignment"), allocate(BUNDLE.part("alignment").outputs))
    assert fake_gpu.board.log == ["launch", "wait"]
    engine.close()


def test_another_gpu_copies_inside_the_graph(fake_gpu: Any, tmp_path: Path) -> None:
    fake_gpu.board.integrated = False
    engine = TensorRtEngine(plan(tmp_path, "alignment"))
    once = ["upload", "execute", "download"]
    captured = [f"{each} captured" for each in once]
    assert fake_gpu.board.log == ["pinned", "pinned", *once, "wait", *captured]
    engine.close()


def test_own_arrays_are_neither_copied_in_nor_out(fake_gpu: Any, tmp_path: Path) -> None:
    engine = TensorRtEngine(plan(tmp_path, "alignment"))
    feeds = random_feeds("alignment")
    expected = allocate(BUNDLE.part("alignment").outputs)
    engine.run(feeds, expected)
    own = engine.arrays
    own["aligned"][...] = 0
    own["features"][...] = feeds["features"]
    engine.run({"features": own["features"]}, {"aligned": own["aligned"]})
    np.testing.assert_array_equal(own["aligned"], expected["aligned"])
    engine.close()


def test_who_allocates_for_an_engine_gets_its_arrays(fake_gpu: Any, tmp_path: Path) -> None:
    outputs = BUNDLE.part("alignment").outputs
    engine = TensorRtEngine(plan(tmp_path, "alignment"))
    assert arrays_for(engine, outputs)["aligned"] is engine.arrays["aligned"]
    other_type = (replace(outputs[0], dtype="float16"),)
    assert arrays_for(engine, other_type)["aligned"] is not engine.arrays["aligned"]
    onnx = OnnxEngine(BUNDLE.graph("alignment", "fp32"))
    assert arrays_for(onnx, outputs)["aligned"].shape == (1, 16, 96)
    engine.close()


def test_each_engine_has_a_stream_of_its_own(fake_gpu: Any, tmp_path: Path) -> None:
    engines = [TensorRtEngine(plan(tmp_path, part)) for part in ("alignment", "event_memory")]
    assert len(fake_gpu.board.streams) == 2
    for engine in engines:
        engine.close()
        engine.close()  # twice is harmless
    assert fake_gpu.board.leaks == 0


def test_shapes_must_be_fixed(fake_gpu: Any, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="export with fixed axes"):
        TensorRtEngine(plan(tmp_path, "draft_head"))
    assert fake_gpu.board.leaks == 0


@pytest.mark.parametrize(
    ("feeds", "complaint"),
    [
        ({"features": np.zeros((1, 2, 24), np.float32)}, r"has shape \(1, 2, 24\)"),
        ({}, "the engine reads features"),
        ({"feature": np.zeros((1, 16, 24), np.float32)}, "the engine reads features"),
    ],
)
def test_wrong_feeds(
    fake_gpu: Any, tmp_path: Path, feeds: dict[str, Array], complaint: str
) -> None:
    engine = TensorRtEngine(plan(tmp_path, "alignment"))
    with pytest.raises(BundleError, match=complaint):
        engine.run(feeds, {})
    engine.close()


def test_a_plan_of_another_version(fake_gpu: Any, tmp_path: Path) -> None:
    path = plan(tmp_path, "alignment")
    path.write_text(path.read_text().replace("10.3.0", "10.16.2"))
    with pytest.raises(BundleError, match=r"made by TensorRT 10.16.2.*xsd-edge build"):
        TensorRtEngine(path)
    assert fake_gpu.board.leaks == 0


def test_bytes_that_are_no_plan(fake_gpu: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.plan"
    path.write_bytes(b"\0\1\2")
    with pytest.raises(BundleError, match="Magic tag"):
        TensorRtEngine(path)
    assert fake_gpu.board.leaks == 0


def test_a_failing_execution_leaves_nothing_behind(fake_gpu: Any, tmp_path: Path) -> None:
    importlib.import_module("tensorrt").world.fails = "onnx"
    with pytest.raises(DeviceError, match="Cuda Runtime"):
        TensorRtEngine(plan(tmp_path, "alignment"))
    assert fake_gpu.board.leaks == 0


def test_a_failure_inside_the_capture_ends_it(fake_gpu: Any, tmp_path: Path) -> None:
    world = importlib.import_module("tensorrt").world
    wait = fake_gpu.cudaStreamSynchronize

    def fail_from_now_on(stream: Any) -> Any:
        world.fails = "onnx"
        return wait(stream)

    fake_gpu.cudaStreamSynchronize = fail_from_now_on
    with pytest.raises(DeviceError, match="Cuda Runtime"):
        TensorRtEngine(plan(tmp_path, "alignment"))
    assert fake_gpu.board.leaks == 0


@pytest.mark.parametrize("integrated", [True, False])
def test_out_of_memory(fake_gpu: Any, tmp_path: Path, integrated: bool) -> None:
    fake_gpu.board.integrated = integrated
    fake_gpu.board.limit = 4000
    with pytest.raises(DeviceError, match=r"out of memory.*xsd-edge doctor"):
        TensorRtEngine(plan(tmp_path, "alignment"))
    assert fake_gpu.board.leaks == 0


def test_no_gpu(fake_gpu: Any, tmp_path: Path) -> None:
    fake_gpu.board.present = False
    with pytest.raises(DeviceError, match="driver version is insufficient"):
        TensorRtEngine(plan(tmp_path, "alignment"))


def test_it_holds_no_cache(fake_gpu: Any, tmp_path: Path) -> None:
    engine = TensorRtEngine(plan(tmp_path, "alignment"))
    with pytest.raises(BundleError, match="ONNX Runtime"):
        engine.hold({"past": "present"}, (1, 2), "float32")
    engine.close()


def test_without_tensorrt(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorrt"):
        pytest.skip("TensorRT is installed here")
    with pytest.raises(DeviceError, match="--system-site-packages"):
        TensorRtEngine(tmp_path / "x.plan")


def test_without_cuda_bindings(
    fake_gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    path = plan(tmp_path, "alignment")
    importlib.import_module("tensorrt")
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(ExtraMissingError, match=r"xsd-edge\[tensorrt\]"):
        TensorRtEngine(path)
