"""What calibration feeds the draft head is what the runtime feeds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xsd_edge.bundle import Bundle
from xsd_edge.calibration.batches import DRAFTED, Feeds, Pair, clip_feeds, frames_of, read
from xsd_edge.calibration.clips import scene_clip
from xsd_edge.export.onnx_graph import read_graph, tensor_specs, write_graph
from xsd_edge.export.pair import networks_of
from xsd_edge.runtime.drafter import DraftHead, EventMemory
from xsd_edge.runtime.engine import Array, Arrays
from xsd_edge.runtime.hosted_head import HostedHead
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.sampling import Sampling

pytestmark = [pytest.mark.host, pytest.mark.slow]


class Recorder:
    """An engine that writes down what it is asked."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.asked: list[Feeds] = []
        self._engine = engine

    def run(self, feeds: Arrays, results: Arrays) -> None:
        self.asked.append({name: array.copy() for name, array in feeds.items()})
        self._engine.run(feeds, results)

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        raise AssertionError("the draft head keeps its own cache")

    def close(self) -> None:
        self._engine.close()


def test_draft_head_reads_the_same_at_run_time(pair: Pair, bundle: Bundle, tmp_path: Path) -> None:
    clip = replace(scene_clip(900_000_003), answer="")
    feeds: dict[str, list[Feeds]] = {}
    for part, each in clip_feeds(pair, clip):
        feeds.setdefault(part, []).append(each)
    expected = feeds["draft_head"]
    assert len(expected) == 1 + DRAFTED

    (plain,) = (network for network in networks_of(pair) if network.name == "draft_head")
    write_graph(plain, tmp_path / "head.onnx")
    recorder = Recorder(OnnxEngine(tmp_path / "head.onnx"))
    table = np.load(bundle.named("embedding"))
    vocabulary = pair.vocabulary.astype(np.int64)
    outputs = tensor_specs(read_graph(tmp_path / "head.onnx").graph.output)
    hosted = HostedHead(recorder, outputs, vocabulary)
    head = DraftHead(hosted, bundle.manifest.drafter, table, vocabulary)
    memory = expected[0]
    known = (memory["memory_keys"], memory["memory_values"])
    head.begin(EventMemory(memory["hidden"], memory["hidden"], *known))
    reading = read(pair, frames_of(pair, clip.frames), clip)
    head.observe(reading.hidden[0].numpy(), reading.following.tolist())
    head.propose(1 + DRAFTED, Sampling(), np.random.default_rng(0))

    assert len(recorder.asked) == len(expected)
    for asked, wanted in zip(recorder.asked, expected, strict=True):
        assert asked.keys() == wanted.keys()
        for name, array in wanted.items():
            close(asked[name], array, name)


def close(found: Array, wanted: Array, name: str) -> None:
    assert found.shape == wanted.shape, name
    # The device's embeddings are float16.
    np.testing.assert_allclose(found, wanted, atol=2e-3, err_msg=name)


def test_parts_read_what_the_part_before_made(pair: Pair) -> None:
    feeds = dict(clip_feeds(pair, scene_clip(900_000_004)))
    assert pair.drafter is not None
    with torch.no_grad():
        features = pair.drafter.encoder(torch.from_numpy(feeds["event_encoder"]["events"]))
        aligned = pair.drafter.alignment(features)
    assert np.array_equal(feeds["alignment"]["features"], features.numpy())
    assert np.array_equal(feeds["event_memory"]["aligned"], aligned.numpy())
    assert np.array_equal(feeds["acceptance_predictor"]["aligned"], aligned.numpy())
    assert feeds["vision"]["pixels"].shape == (8, 3, 64, 64)
