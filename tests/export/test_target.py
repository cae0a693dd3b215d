"""The target's graph on the CPU: rows on request, a cache in place, and PyTorch's answers."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from tests.export.conftest import LANGUAGE
from xsd_edge.calibration.batches import Pair, prompts
from xsd_edge.calibration.clips import CalibrationSet
from xsd_edge.errors import BundleError
from xsd_edge.export.gptq import round_language_model
from xsd_edge.export.onnx_graph import tensor_specs
from xsd_edge.export.target import TargetGraph, embedding_table, export_target

pytestmark = [pytest.mark.host, pytest.mark.slow]

Array = NDArray[np.float32]
LAYERS, KV, WIDTH = 2, 1, 32
CACHES = [f"{i}.{kind}" for i in range(LAYERS) for kind in ("key", "value")]


class Runner:
    """Calls a target's graph as its module's docstring says, shared or with copied caches."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(str(path), options)
        rng = np.random.default_rng(seed)
        self.inputs = rng.normal(0, 0.1, (1, 64, LANGUAGE.hidden_size)).astype(np.float32)
        # NaN behind the written rows: whoever reads there is found out.
        self.cache = {name: np.full((1, KV, 96, WIDTH), np.nan, np.float32) for name in CACHES}

    def shared(self, past: int, m: int, rows: list[int]) -> tuple[Array, Array]:
        logits = np.empty((1, len(rows), LANGUAGE.vocab_size), np.float32)
        hidden = np.empty((1, m, LANGUAGE.hidden_size), np.float32)
        binding = self._session.io_binding()
        for name, array in self._feeds(past, m, rows).items():
            binding.bind_cpu_input(name, array)
        for name, array in (("logits", logits), ("hidden_states", hidden)):
            binding.bind_output(name, *_where(array))
        for name, cache in self.cache.items():
            binding.bind_input(f"past_key_values.{name}", *_where(cache))
            binding.bind_output(f"present.{name}", *_where(cache))
        self._session.run_with_iobinding(binding)
        return logits[0], hidden[0]

    def copied(self, cache: dict[str, Array], past: int, m: int) -> tuple[Array, dict[str, Array]]:
        feeds = self._feeds(past, m, list(range(m)))
        feeds |= {f"past_key_values.{name}": array for name, array in cache.items()}
        names = ["logits", *(f"present.{name}" for name in CACHES)]
        logits, *present = self._session.run(names, feeds)
        return logits[0], dict(zip(CACHES, present, strict=True))

    def _feeds(self, past: int, m: int, rows: list[int]) -> dict[str, NDArray[np.generic]]:
        return {
            "inputs_embeds": np.ascontiguousarray(self.inputs[:, past : past + m]),
            "attention_mask": np.ones((1, past + m), np.int64),
            "rows": np.array(rows, np.int64),
        }


def _where(array: Array) -> tuple[object, ...]:
    return "cpu", 0, array.dtype, array.shape, array.ctypes.data


NOTHING: dict[str, Array] = {name: np.empty((1, KV, 0, WIDTH), np.float32) for name in CACHES}


def test_inputs_and_outputs(target: TargetGraph) -> None:
    graph = onnx.load(str(target.graph), load_external_data=False).graph
    specs = {spec.name: spec for spec in tensor_specs([*graph.input, *graph.output])}
    d, v = LANGUAGE.hidden_size, LANGUAGE.vocab_size
    assert specs["inputs_embeds"].shape == (1, "m", d)
    assert specs["attention_mask"].shape == (1, "T")
    assert specs["attention_mask"].dtype == specs["rows"].dtype == "int64"
    assert specs["rows"].shape == ("k",)
    assert specs["logits"].shape == (1, "k", v)
    assert specs["hidden_states"].shape == (1, "m", d)
    for name in CACHES:
        assert specs[f"past_key_values.{name}"].shape == (1, KV, "S", WIDTH)
        assert specs[f"present.{name}"].shape == (1, KV, "S", WIDTH)
    assert len(specs) == 5 + 2 * len(CACHES)
    kinds = {node.op_type for node in graph.node}
    assert {"MatMulNBits", "GroupQueryAttention"} <= kinds
    assert "MatMul" not in kinds


def test_files_are_two_and_readable(target: TargetGraph) -> None:
    assert {p.name for p in target.graph.parent.iterdir()} >= {"int4.onnx", "int4.onnx.data"}
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o644 for p in (target.graph, target.data))


@pytest.mark.parametrize("rows", [[0], [16], [3, 9], [16, 0, 5], list(range(5, 17))])
def test_asked_rows_equal_those_of_all(target: TargetGraph, rows: list[int]) -> None:
    runner = Runner(target.graph)
    everything, all_hidden = runner.shared(0, 17, list(range(17)))
    logits, hidden = runner.shared(0, 17, rows)
    assert np.array_equal(logits, everything[rows])
    assert np.array_equal(hidden, all_hidden)


@pytest.mark.parametrize("cuts", [(20, 30, 10), (2, 2, 56), (57, 3), (10, 5, 5, 5, 35)])
def test_cache_in_place_equals_copies_and_one_long_prefill(
    target: TargetGraph, cuts: tuple[int, ...]
) -> None:
    runner = Runner(target.graph)
    whole, _ = runner.copied(NOTHING, 0, 60)
    past, cache = 0, NOTHING
    for m in cuts:
        shared, _ = runner.shared(past, m, list(range(m)))
        copied, cache = runner.copied(cache, past, m)
        assert np.array_equal(shared, copied)
        assert np.array_equal(shared, whole[past : past + m])
        past += m
    for name in CACHES:
        assert np.array_equal(runner.cache[name][:, :, :60], cache[name])
        assert np.isnan(runner.cache[name][:, :, 60:]).all()


def test_forgetting_is_passing_less(target: TargetGraph) -> None:
    runner = Runner(target.graph)
    runner.shared(0, 40, [0])
    expected, _ = runner.shared(40, 6, list(range(6)))
    runner.inputs[:, 40:46] += 1
    other, _ = runner.shared(40, 6, list(range(6)))  # a draft that is rejected
    runner.inputs[:, 40:46] -= 1
    assert not np.allclose(expected, other)
    again, _ = runner.shared(40, 6, list(range(6)))
    np.testing.assert_allclose(again, expected, atol=1e-5)


def test_single_rows_are_close(target: TargetGraph) -> None:
    runner = Runner(target.graph)
    runner.shared(0, 40, [0])
    together, _ = runner.shared(40, 4, list(range(4)))
    single = np.concatenate([runner.shared(40 + i, 1, [0])[0] for i in range(4)])
    assert (single.argmax(1) == together.argmax(1)).all()
    np.testing.assert_allclose(single, together, atol=0.1)


def test_fp32_answers_as_pytorch(loaded: tuple[Pair, str], tmp_path: Path) -> None:
    pair, tokenizer_json = loaded
    written = export_target(pair.target, tokenizer_json, tmp_path, context=128, precision="fp32")
    runner = Runner(written.graph)
    runner.shared(0, 30, [0])
    logits, hidden = runner.shared(30, 10, list(range(10)))
    with torch.no_grad():
        inputs = torch.from_numpy(runner.inputs[:, :40])
        states = pair.target.model.language_model(inputs_embeds=inputs).last_hidden_state
        expected = pair.target.lm_head(states)[0, 30:]
    np.testing.assert_allclose(hidden, states[0, 30:].numpy(), atol=1e-4)
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4)


def test_export_writes_equal_bytes_twice(
    loaded: tuple[Pair, str], target: TargetGraph, tmp_path: Path
) -> None:
    pair, tokenizer_json = loaded
    asked = prompts(pair, CalibrationSet.load("demo").clips(pair.world, pair.clip, print))
    rounded = round_language_model(pair.target.model.language_model, asked)
    again = export_target(pair.target, tokenizer_json, tmp_path, context=512, rounded=rounded)
    assert again.graph.read_bytes() == target.graph.read_bytes()
    assert again.data.read_bytes() == target.data.read_bytes()


def test_what_the_builder_says_last_is_the_error(
    loaded: tuple[Pair, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime_genai.py").write_text("raise ImportError('libgomp.so.1 is not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pair, tokenizer_json = loaded
    folder = tmp_path / "out"
    with pytest.raises(BundleError, match=r"model builder failed: .*libgomp.so.1 is not here"):
        export_target(pair.target, tokenizer_json, folder, context=128)
    assert list(folder.iterdir()) == []


def test_embedding_table(pair: Pair) -> None:
    table = embedding_table(pair.target)
    assert table.dtype == np.float16
    weight = pair.target.model.language_model.embed_tokens.weight.detach().numpy()
    assert np.array_equal(table, weight.astype(np.float16))
