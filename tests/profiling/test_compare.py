"""Two profiles: what changed is found, what did not is not, and unlike is not compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from xsd_edge.profiling.compare import Comparison, compare, load, table
from xsd_edge.profiling.document import Document, ProfileError

CLIPS = 20


def profile_of(document: Document, seed: int, slower: float = 1.0) -> Document:
    """The same machine on another day: noise of 5 %, and verify passes slower by a factor."""
    rng = np.random.default_rng(seed)
    made = copy.deepcopy(document)
    made["per_clip_ms"] = {
        stage: rng.normal(10, 0.5, CLIPS).tolist() for stage in ("verify", "draft_step")
    }
    made["per_clip_ms"]["verify"] = [ms * slower for ms in made["per_clip_ms"]["verify"]]
    template = document["answers"][0]
    made["answers"] = [
        template | {"clip": clip, "answer_ms": float(ms), "plain_answer_ms": float(other)}
        for clip, (ms, other) in enumerate(rng.normal((100, 200), (5, 10), (CLIPS, 2)))
    ]
    return made


def changed(found: Comparison) -> set[str]:
    return {figure.name for figure in found.figures if figure.significant}


def test_a_slower_stage_is_found(document: Document) -> None:
    found = compare(profile_of(document, 1), profile_of(document, 2, slower=1.2), force=False)
    assert changed(found) == {"verify"}
    verify = next(f for f in found.figures if f.name == "verify")
    assert verify.ratio is not None
    assert verify.ratio.low < 1.2 < verify.ratio.high


def test_noise_is_not_a_change(document: Document) -> None:
    false_alarms = sum(
        bool(
            changed(
                compare(profile_of(document, seed), profile_of(document, seed + 100), force=False)
            )
        )
        for seed in range(10, 20)
    )
    assert false_alarms <= 2  # each has a chance of 5 %


def test_other_boards_and_bundles_are_refused(document: Document) -> None:
    one = profile_of(document, 1)
    board, bundle = copy.deepcopy(one), copy.deepcopy(one)
    board["machine"]["model"] = "NVIDIA Jetson AGX Orin Developer Kit"
    bundle["bundle"]["id"] = "0" * 64
    with pytest.raises(ProfileError, match=r"different boards.*AGX Orin.*--force"):
        compare(one, board, force=False)
    with pytest.raises(ProfileError, match=r"different bundles.*000000.*--force"):
        compare(one, bundle, force=False)
    assert compare(one, board, force=True).figures
    assert compare(one, bundle, force=True).figures


def test_other_conditions_are_said(document: Document) -> None:
    one, other = profile_of(document, 1), profile_of(document, 2)
    other["machine"]["power_mode"] = "MAXN_SUPER"
    other["settings"]["gamma"] = 5
    found = compare(one, other, force=False)
    assert found.conditions == {"power_mode": ("15W", "MAXN_SUPER"), "gamma": (3, 5)}


def test_shown(document: Document) -> None:
    found = compare(profile_of(document, 1), profile_of(document, 2, slower=1.2), force=False)
    rows = {row[0]: row for row in table(found).rows}
    assert rows["verify"][-1] == "changed"
    assert rows["draft step"][-1] == ""
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said["changed"] == ["verify"]
    assert {"name", "before", "after", "ratio", "p", "significant"} <= set(said["figures"][0])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[]", "no profile"),
        ('{"kind": "xsd-edge profile", "format": 99}', "format 99"),
        ('{"kind": "xsd-edge profile", "format": 1}', "incomplete"),
        (None, "cannot read"),
    ],
)
def test_what_is_no_profile(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ProfileError, match=says):
        load(path)
