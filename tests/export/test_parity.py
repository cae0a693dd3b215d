"""Parity catches what is broken, and lets what is right pass."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import nn

from xsd_edge.calibration.batches import Pair, frames_of, read
from xsd_edge.calibration.clips import scene_clip
from xsd_edge.errors import BundleError
from xsd_edge.export.networks import Network
from xsd_edge.export.onnx_graph import write_graph
from xsd_edge.export.parity import Parity, check_network, references
from xsd_edge.export.target import TargetGraph
from xsd_edge.export.target_parity import Agreement, check_target, divergence, speak
from xsd_edge.runtime.cosines import row_cosines

pytestmark = pytest.mark.host

FLOATS = st.floats(-1e3, 1e3, width=32)


def network() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 5)).eval()
    return Network("little", module, ("x",), ("y",), (torch.rand(3, 8),))


BATCHES = [{"x": np.random.default_rng(i).normal(size=(3, 8)).astype(np.float32)} for i in range(4)]


def check(path: Path) -> Parity:
    little = network()
    return check_network(little, path, "fp32", BATCHES, references(little, BATCHES))


def test_the_right_graph_passes(tmp_path: Path) -> None:
    write_graph(network(), tmp_path / "g.onnx")
    row = check(tmp_path / "g.onnx")
    row.require()
    assert row.rows == 12
    assert row.cosine_min > 0.99999
    assert row.max_error < 1e-5


@pytest.mark.parametrize("damage", ["weight", "nan"])
def test_a_broken_graph_is_caught(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "g.onnx"
    write_graph(network(), path)
    model = onnx.load(str(path))
    for constant in model.graph.initializer:
        values = onnx.numpy_helper.to_array(constant).copy()
        if values.size == 5:
            values[2] = values[2] + 1 if damage == "weight" else np.nan
            constant.CopyFrom(onnx.numpy_helper.from_array(values, constant.name))
    onnx.save(model, str(path))
    with pytest.raises(BundleError, match="little in fp32 does not answer as PyTorch does"):
        check(path).require()


@given(arrays(np.float32, (3, 4), elements=FLOATS), st.floats(0.01, 100))
def test_cosine_of_a_scaled_row_is_one(rows: NDArray[np.float32], factor: float) -> None:
    rows = rows[np.abs(rows).max(1) > 1e-3]  # scaling rounds what is next to nothing
    np.testing.assert_allclose(row_cosines(rows, rows * np.float32(factor)), 1, atol=1e-5)
    np.testing.assert_allclose(row_cosines(rows, -rows), -1, atol=1e-5)


def test_cosines_of_zero_and_of_no_number() -> None:
    zero, one = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
    assert row_cosines(zero, zero) == 1
    assert row_cosines(zero, one) == row_cosines(one, zero) == 0
    assert math.isnan(row_cosines(one, one * np.nan)[0])


@pytest.mark.parametrize(("top1", "nats"), [(0.5, 0.05), (0.95, 0.4), (0.95, math.nan)])
def test_a_target_that_chooses_otherwise_is_caught(top1: float, nats: float) -> None:
    agreement = Agreement("int4", 4, 0, 100, 0.2, 0.95, 0.05, 0.5, 0.5)
    agreement.require()
    with pytest.raises(BundleError, match="target in int4 does not answer as PyTorch does"):
        replace(agreement, top1=top1, divergence=nats).require()


@pytest.mark.slow
def test_the_target_says_what_transformers_says(pair: Pair, target: TargetGraph) -> None:
    info = pair.info
    clips = [scene_clip(1_000_000_000 + i) for i in range(2)]
    spoken = speak(pair, clips, "Describe the scene.", info)
    agreement = check_target(pair, target.graph, "int4", info, spoken)
    agreement.require()
    assert agreement.clips == 2
    assert agreement.tokens == sum(len(each.answer) for each in spoken)
    assert agreement.cosine_hidden > 0.99
    assert agreement.cosine_logits > 0.99
    assert agreement.divergence < 0.05


@given(arrays(np.float32, (3, 6), elements=st.floats(-20, 20, width=32)), st.integers(-50, 50))
def test_divergence_is_that_of_distributions(logits: NDArray[np.float32], shift: int) -> None:
    assert divergence(logits, logits + np.float32(shift)) == pytest.approx(0, abs=1e-4)
    other = np.roll(logits, 1, axis=1)
    p, q = (
        np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (np.float64(logits), np.float64(other))
    )
    assert divergence(logits, other) == pytest.approx(
        (p * np.log(p / q)).sum(1).mean(), rel=1e-5, abs=1e-6
    )


@pytest.mark.slow
def test_our_prompt_is_transformers_prompt(pair: Pair) -> None:
    """`read` puts embeddings together by hand; `speak` lets VideoLLaVA put them in placeholders."""
    clip = scene_clip(1_000_000_000)
    info = pair.info
    (spoken,) = speak(pair, [clip], clip.question, info)
    reading = read(pair, frames_of(pair, clip.frames), replace(clip, answer=""))
    np.testing.assert_allclose(reading.hidden[0, -1].numpy(), spoken.hidden[0], atol=1e-4)
    assert int(reading.following[-1]) == spoken.answer[0]
