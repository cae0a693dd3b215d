"""benchmarks/scaling.py: its sweeps run on a real bundle and say what they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.scaling import event_sweep, length_sweep, run, visual_sweep
from benchmarks.scaling_parts import longer_target, read_clip, write_events
from tests.conftest import TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.events.packet import Geometry
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.session import Session

pytestmark = pytest.mark.host  # graphs are changed with onnx


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle(TINY_BUNDLE)


def test_more_positions_change_nothing_where_there_were_some(
    bundle: Bundle, tmp_path: Path
) -> None:
    info, rng = bundle.manifest.target, np.random.default_rng(0)
    table = np.load(bundle.named("embedding"), allow_pickle=False)
    rows = rng.normal(0, 1, (40, info.hidden)).astype(np.float32)
    logits = [
        Decoder(OnnxEngine(graph), info, table).prefill(rows).logits.copy()
        for graph in (bundle.graph("target"), longer_target(bundle, tmp_path, 2000))
    ]
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4, atol=1e-4)


def test_no_event_is_lost_between_file_and_clip(tmp_path: Path) -> None:
    recording = write_events(tmp_path / "events.raw", Geometry(640, 480), 0.05)
    slices = read_clip(recording, 1_000_000, 8)
    assert len(slices) == 8
    assert sum(len(part.events) for part in slices) == 50_000


def test_every_sweep_has_its_points_and_lines(bundle: Bundle, tmp_path: Path) -> None:
    session = Session(bundle)
    sweeps = {
        "length": run(length_sweep(session, (1, 4, 8)), 1),
        "events": run(event_sweep(session, tmp_path, (0.01, 0.02, 0.04)), 1),
        "visual": run(visual_sweep(bundle, tmp_path, 17, (1, 2, 4)), 1),
    }
    assert [row["x"] for row in sweeps["visual"]["rows"]] == [17, 34, 68]
    for sweep in sweeps.values():
        assert "peak_mb" in sweep["lines"]
        for name, fit in sweep["lines"].items():
            assert {"slope", "intercept", "r2", "bend", "linear"} == set(fit)
            assert all(row[name]["value"] > 0 for row in sweep["rows"])
