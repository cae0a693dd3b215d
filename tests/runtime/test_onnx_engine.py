"""ONNX Runtime behind the contract, and what its list of providers is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.errors import BundleError, DeviceError
from xsd_edge.runtime import onnx_engine
from xsd_edge.runtime.cosines import row_cosines
from xsd_edge.runtime.engine import Array, allocate, prepared
from xsd_edge.runtime.onnx_engine import CPU, CUDA, OnnxEngine, listed_providers, why_unusable

BUNDLE = Bundle(TINY_BUNDLE)


@pytest.mark.parametrize("part", ["draft_head", "vision"])
def test_int8_products_do_not_overflow_on_this_processor(part: str) -> None:
    """Where they do, the least cosine of these two is 0.87 and 0.976."""
    reference = BUNDLE.part(part).reference
    assert reference is not None
    kept = np.load(BUNDLE.file(reference))
    engine = OnnxEngine(BUNDLE.graph(part, "int8"))
    feeds = {name[3:]: kept[name] for name in kept.files if name.startswith("in.")}
    found = {name[4:]: np.empty_like(kept[name]) for name in kept.files if name.startswith("out.")}
    engine.run(feeds, found)
    for name, array in found.items():
        assert row_cosines(kept[f"out.{name}"], array).min() > 0.99, name


def test_a_held_cache_stays_between_runs() -> None:
    target = BUNDLE.manifest.target
    engine = OnnxEngine(BUNDLE.graph("target"))
    pairs = {
        f"past_key_values.{i}.{kind}": f"present.{i}.{kind}"
        for i in range(target.layers)
        for kind in ("key", "value")
    }
    engine.hold(pairs, (1, target.kv_heads, 16, target.head_width), "float32")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1, 6, target.hidden)).astype(np.float32)

    def last_logits(embeddings: Array, past: int) -> Array:
        m = embeddings.shape[1]
        found = {
            "logits": np.zeros((1, 1, target.vocabulary), np.float32),
            "hidden_states": np.zeros((1, m, target.hidden), np.float32),
        }
        feeds = {
            "inputs_embeds": np.ascontiguousarray(embeddings),
            "attention_mask": np.ones((1, past + m), np.int64),
            "rows": np.array([m - 1], np.int64),
        }
        engine.run(feeds, found)
        return found["logits"]

    whole = last_logits(rows, 0)
    last_logits(rows[:, :4], 0)
    again = last_logits(rows[:, 4:], 4)
    np.testing.assert_allclose(again, whole, rtol=1e-3, atol=1e-4)
    assert np.abs(last_logits(rows[:, 4:], 0) - whole).max() > 1e-3
    engine.close()


def test_a_prepared_run_reads_and_writes_the_same_arrays_each_time() -> None:
    part = BUNDLE.part("alignment")
    engine = OnnxEngine(BUNDLE.graph("alignment"))
    feeds, found, wanted = allocate(part.inputs), allocate(part.outputs), allocate(part.outputs)
    again = prepared(engine, feeds, found)
    rng = np.random.default_rng(0)
    for _ in range(2):
        for array in feeds.values():
            array[:] = rng.normal(size=array.shape)
        again()
        engine.run(feeds, wanted)
        for name, array in found.items():
            np.testing.assert_array_equal(array, wanted[name])


def test_bytes_that_are_no_graph(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="cannot load"):
        OnnxEngine(tmp_path / "x.onnx")


def test_cuda_is_asked_for_and_not_there() -> None:
    if CUDA in listed_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceError, match="xsd-edge doctor"):
        OnnxEngine(BUNDLE.graph("alignment"), cuda=True)


def test_the_cpu_can_add() -> None:
    assert why_unusable(CPU) is None


def test_a_provider_that_is_not_there_cannot() -> None:
    if CUDA in listed_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    assert why_unusable(CUDA)


def test_a_wrong_sum_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = onnx_engine.PROBE.replace(b"Add", b"Mul")
    monkeypatch.setattr(onnx_engine, "PROBE", wrong)
    assert why_unusable(CPU) == "21 + 21 gave 441.0"
