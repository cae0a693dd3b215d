"""benchmarks/peers.py: runtimes in turns on a tiny model; one that is missing is left out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import bars, compare, draw, speed
from benchmarks.peers_models import ModelFolder, Prompt, with_genai
from tests.conftest import TINY_BUNDLE
from xsd_edge.bundle import Bundle

pytestmark = pytest.mark.host  # GenAI's graph is made with onnx

MISSING = "No module named 'llama_cpp'"


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    bundle, rng = Bundle(TINY_BUNDLE), np.random.default_rng(0)
    info = bundle.manifest.target
    prompts = tuple(Prompt([int(n) for n in rng.integers(100, 288, 20)]) for _ in range(2))
    shutil.copy(bundle.named("embedding"), tmp_path / "embedding.npy")
    return with_genai(ModelFolder(tmp_path, info, (), prompts, bundle.graph("target").resolve()))


def test_a_folder_is_read_as_it_was_written(folder: ModelFolder) -> None:
    assert ModelFolder.read(folder.path) == folder


def test_who_is_there_is_measured_and_who_is_missing_is_named(
    folder: ModelFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "llama_cpp.py").write_text(f"raise ImportError({MISSING!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(absent))

    names = ("xsd-edge", "onnxruntime-genai", "llama-cpp-python")
    found = compare(folder, names, repeats=1, most=8)

    sentence = f"llama-cpp-python is left out: {MISSING}"
    assert found["llama-cpp-python"] == {"missing": sentence, "ways": {}}
    assert sentence in capfd.readouterr().err
    assert set(found["xsd-edge"]["ways"]) == {"plain", "prompt lookup"}
    assert set(found["onnxruntime-genai"]["ways"]) == {"plain", "n-gram"}
    for name in names[:2]:
        assert found[name]["version"]
        for way in found[name]["ways"].values():
            assert way["tokens_per_s"]["n"] == 2
            assert set(way) == {"tokens_per_s", "to_our_plain", "same_answer_as_our_plain"}
    ours = found["xsd-edge"]["ways"]
    assert ours["plain"]["to_our_plain"]["value"] == 1
    assert ours["prompt lookup"]["same_answer_as_our_plain"] == 2

    draw({"text": found}, tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    assert next(label for _, label, _ in bars({"text": found})) == "xsd-edge, plain"


def test_the_first_delivery_is_on_nobodys_clock() -> None:
    answer: dict[str, Any] = {"tokens": [1, 2, 3, 4, 5], "first": 2, "seconds": 0.5}
    assert speed(answer) == 6.0
