"""`analyze` on a real bundle: every measure is there, consistent, and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TINY_BUNDLE, Python
from xsd_edge.analysis.decoding import Recorder, promises
from xsd_edge.analysis.features import comparable
from xsd_edge.analysis.report import gap
from xsd_edge.runtime.sampling import Sampling, distribution
from xsd_edge.runtime.verifier import Proposal, RejectionVerifier


@pytest.fixture(autouse=True)
def extra() -> None:
    pytest.importorskip("ot", reason='POT is missing (pip install "xsd-edge[analysis]")')
    pytest.importorskip("matplotlib", reason='matplotlib is missing (the "analysis" extra)')


def test_padding_keeps_distances_and_scaling_takes_size_away() -> None:
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(size=(30, 4)) * 100, rng.normal(size=(30, 9)) + 2
    x, y = comparable(narrow, wide)
    assert x.shape == y.shape == (30, 9)
    assert (x * x).sum(1).mean() == pytest.approx(1)
    ratio = np.linalg.norm(x[3] - x[5]) / np.linalg.norm(x[7] - x[9])
    assert ratio == pytest.approx(
        np.linalg.norm(narrow[3] - narrow[5]) / np.linalg.norm(narrow[7] - narrow[9])
    )


def test_an_alignment_closes_the_gap() -> None:
    """Features that a rotation hides are far away until it is undone; CKA saw through it."""
    rng = np.random.default_rng(1)
    video = rng.normal(size=(120, 6)) + 3
    turned = video @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    before, after = gap(turned, video), gap(video + 0.01 * rng.normal(size=video.shape), video)
    assert before.linear_cka == pytest.approx(1)
    for name in ("wasserstein", "sliced_wasserstein", "squared_mmd", "centroid_gap"):
        assert getattr(after, name) < 0.1 * getattr(before, name)


def test_the_recorder_decides_as_the_verifier_and_measures_what_it_judged() -> None:
    """Over many rounds the decisions come to their expectation, alpha = 1 - E[TV]."""
    rng, sampling = np.random.default_rng(2), Sampling(temperature=1.0)
    recorder = Recorder(RejectionVerifier(sampling, np.random.default_rng(3)))
    twin = RejectionVerifier(sampling, np.random.default_rng(3))
    support = np.array([1, 3, 4, 6])
    judged = 0
    for _ in range(1500):
        logits = rng.normal(size=(3, 8)).astype(np.float32)
        weights = np.stack([distribution(rng.normal(size=4).astype(np.float32), sampling)] * 2)
        drawn = tuple(int(rng.choice(support, p=w / w.sum())) for w in weights.astype(np.float64))
        proposal = Proposal(drawn, weights, support)
        verdict = recorder.judge(logits, proposal)
        assert verdict == twin.judge(logits, proposal)
        judged += min(verdict.accepted + 1, 2)
    found = promises(recorder.prefixes)
    assert found.prefixes == judged
    assert found.accepted == pytest.approx(found.one_minus_tv, abs=0.03)
    assert found.kl_pq_infinite == 1.0  # p says tokens that the draft vocabulary lacks
    assert found.pinsker_pq == 0.0
    assert 0 < found.half_exponential_qp < found.bretagnolle_huber_qp < found.one_minus_tv
    assert found.pinsker_qp < found.one_minus_tv


@pytest.mark.slow
def test_the_command_reports_and_draws(command: Python, tmp_path: Path) -> None:
    page = tmp_path / "gap.png"
    done = command("analyze", TINY_BUNDLE, "--scenes", "0:8", "--json", "--plot", page, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for when in ("before", "after"):
        assert {"sliced_wasserstein", "wasserstein", "squared_mmd", "centroid_gap"} <= set(
            found["features"][when]
        )
        assert found["features"][when]["wasserstein"] > 0
    assert found["acceptance"]["prefixes"] == sum(p["prefixes"] for p in found["positions"])
    assert page.read_bytes().startswith(b"\x89PNG")
    assert page.stat().st_size > 20_000


def test_too_few_scenes_say_so(command: Python) -> None:
    done = command("analyze", TINY_BUNDLE, "--scenes", "0:3")
    assert done.returncode == 6
    assert "give at least 8" in done.stderr


def test_the_command_names_its_extra(python: Python) -> None:
    code = (
        "import sys; sys.modules['ot'] = None\n"
        f"sys.argv = ['xsd-edge', 'analyze', {str(TINY_BUNDLE)!r}, '--scenes', '0:8']\n"
        "from xsd_edge.cli import main; main()"
    )
    done = python("-c", code, timeout=120)
    assert done.returncode == 8
    assert 'pip install "xsd-edge[analysis]"' in done.stderr
