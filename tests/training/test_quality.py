"""Evaluation: seeds as they are given, totals by hand, and the command on a real bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, TINY_BUNDLE, Python
from xsd_edge.errors import TrainingError
from xsd_edge.training.examination import Pass, Spoken
from xsd_edge.training.quality import Drafts, Forecasts, Quality, parse_scenes
from xsd_edge.world.scenes import HELD_OUT, Scene

pytestmark = pytest.mark.host


def spoken(*rounds: tuple[int, int, int]) -> Spoken:
    """Rounds of (tokens, judged, accepted), forecasts 0.9, 0.8, 0.7."""
    predicted = np.array([0.9, 0.8, 0.7])
    passes = [Pass(t, j, a, 0.1, predicted) for t, j, a in rounds]
    return Spoken([0] * (1 + sum(t for t, _, _ in rounds)), passes)


def test_acceptance_is_per_judged_draft() -> None:
    drafts = Drafts()
    drafts.add(spoken((3, 3, 2), (1, 1, 0)))
    assert drafts.acceptance == pytest.approx(2 / 4)
    assert drafts.tokens_per_round == pytest.approx(4 / 2)
    assert Drafts().acceptance is None


def test_an_answers_end_bounds_what_a_round_can_bring() -> None:
    drafts = Drafts()
    drafts.add(spoken((1, 1, 0), (1, 1, 1)))  # two tokens fit into one round
    drafts.add(spoken((6, 5, 5), (1, 1, 1)))  # seven do not
    assert drafts.ceiling(gamma=5) == pytest.approx(9 / (1 + 2))
    assert drafts.ceiling(gamma=1) == pytest.approx(9 / (1 + 4))
    assert Drafts().ceiling(gamma=5) is None


def test_forecasts_meet_what_happened_at_their_position() -> None:
    forecasts = Forecasts()
    forecasts.add(spoken((3, 3, 2), (1, 1, 0)))
    assert forecasts.predicted == {0: [0.9, 0.9], 1: [0.8], 2: [0.7]}
    assert forecasts.happened == {0: [True, False], 1: [True], 2: [False]}
    assert forecasts.calibration_errors() == pytest.approx([0.4, 0.2, 0.7])
    assert forecasts.auroc() == pytest.approx((0.5 + 1 + 0 + 1) / 4)


def test_every_kind_of_question_is_scored_apart() -> None:
    scene = Scene.from_seed(3)
    found = Quality(5)
    for asked in scene.exchanges():
        found.add(scene, asked, asked.answer if asked.kind != "count" else "Nine.")
    fields = found.fields()
    assert fields["exact_caption"] == 1.0
    assert fields["qa"]["count"] == 0.0
    assert {v for k, v in fields["qa"].items() if k != "count"} == {1.0}
    assert fields["attributes"]["shape"] == 1.0


def test_a_range_and_a_list_of_seeds(tmp_path: Path) -> None:
    assert parse_scenes("7:10") == [7, 8, 9]
    (tmp_path / "seeds.json").write_text("[5, 3]")
    assert parse_scenes(str(tmp_path / "seeds.json")) == [5, 3]


@pytest.mark.parametrize("content", ["", "{}", "[]", "[1.5]", "[true]", "[-1]", '["7"]'])
def test_no_list_of_seeds(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seeds.json"
    path.write_text(content)
    with pytest.raises(TrainingError, match=r"list of (scene )?seeds"):
        parse_scenes(str(path))


@pytest.mark.parametrize("spec", ["9:9", "9:3", "a:b", "nowhere.json", "3"])
def test_nonsense_for_scenes(spec: str) -> None:
    with pytest.raises(TrainingError):
        parse_scenes(spec)


def test_the_held_out_list_is_five_hundred_scenes_that_nobody_trains_on() -> None:
    seeds = parse_scenes(str(ROOT / "export" / "held-out-scenes.json"))
    assert len(seeds) == len(set(seeds)) == 500
    assert min(seeds) >= HELD_OUT


@pytest.mark.slow
def test_the_command_reports_every_figure(command: Python) -> None:
    done = command("evaluate", TINY_BUNDLE, "--scenes", f"{HELD_OUT}:{HELD_OUT + 2}", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["world"], found["scenes"]) == ("plain", 2)
    assert set(found["attributes"]) == {"shape", "colour", "size", "direction", "speed", "still"}
    kinds = {"moves", "still", "count", "count_moving", "where", "direction", "colour"}
    assert set(found["qa"]) == kinds
    for name in ("exact_caption", "acceptance_t0", "acceptance_t1"):
        assert 0 <= found[name] <= 1
    for name in ("tokens_per_round", "tokens_per_round_captions"):
        assert 1 <= found[name] <= found[f"{name}_ceiling"] <= found["gamma"] + 1
    assert found["c"] > 0
    assert 0 <= found["predictor_ece"] <= 1
    assert "predictor_auroc" in found


def test_streams_alone(command: Python) -> None:
    seeds = ("--scenes", f"{HELD_OUT}:{HELD_OUT + 1}")
    done = command("evaluate", TINY_BUNDLE, *seeds, "--streams-only", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    names = {"bundle", "early_prefix", "early_prefix_without_events", "early_gain_p", "early_clips"}
    assert set(found) == names
    assert found["early_clips"] == 9
    assert 0 <= found["early_prefix"] <= 1


def test_the_command_names_what_is_wrong(command: Python) -> None:
    done = command("evaluate", TINY_BUNDLE, "--scenes", "5:5")
    assert done.returncode == 6
    assert done.stderr.startswith("xsd-edge: error: --scenes 5:5 is empty")
