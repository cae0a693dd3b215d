"""Figures from records by hand, and where they are put."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from xsd_edge.errors import TrainingError
from xsd_edge.training.ablation.measure import Tally
from xsd_edge.training.ablation.table import BEGIN, END, put, render
from xsd_edge.training.ablation.totals import totals
from xsd_edge.training.examination import UNFORESEEN, Pass, Spoken

pytestmark = pytest.mark.host


def spoken(*rounds: tuple[int, int, int], seconds: float = 0.1) -> Spoken:
    """Rounds of (tokens, judged, accepted)."""
    passes = [Pass(t, j, a, seconds, UNFORESEEN) for t, j, a in rounds]
    return Spoken([0] * (1 + sum(t for t, _, _ in rounds)), passes)


def tally(*rounds: tuple[int, int, int], kinds: list[str]) -> Tally:
    found, said = Tally(), spoken(*rounds)
    found.add_greedy(said)
    found.add_sampled(said)
    found.add_caption(said, spoken(*[(1, 0, 0)] * said.decoded), kinds)
    return found


def record(seed: int) -> dict[str, Any]:
    """Four tokens behind the first: with events in one round, without them in two."""
    kinds = ["function", "shape", "motion", "motion", "colour"]
    without = tally((3, 3, 2), (1, 1, 0), kinds=kinds)
    seeing = tally((4, 4, 4), kinds=kinds)
    rows = {"hidden": vars(without), "hidden_events": vars(seeing)}
    return {"seed": seed, "captions": 2, "exact": 1, "rows": rows}


def document() -> dict[str, Any]:
    found = totals([record(seed) for seed in range(6)])
    return {"c": {"hidden": 0.05, "hidden_events": 0.06}, "conditions": {"sharp": found}}


def test_figures_by_hand() -> None:
    found = totals([record(seed) for seed in range(6)])
    assert (found["streams"], found["captions"], found["exact_caption"]) == (6, 12, 0.5)
    row = found["rows"]["hidden"]
    assert row["acceptance_t0"] == row["acceptance_t1"] == 0.5  # 2 of 4
    assert row["tokens_per_round"] == 2
    assert row["speedup"] == pytest.approx(2)  # four plain steps against two rounds
    # Judged: shape, motion, motion (which fell), then the colour (which fell).
    assert row["said"] == {
        "motion": 0.5,
        "shape": 1,
        "size": None,
        "colour": 0,
        "still": None,
        "function": None,
    }
    assert row["said_judged"]["motion"] == 12
    gain = found["gains"]["hidden_events - hidden"]
    assert gain["tokens_per_round"] == 2
    assert gain["p"] == pytest.approx(1 / 2**6, abs=0.005)


def test_tables_stand_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Above\n{BEGIN}\nold\n{END}\nbelow\n")
    put(document(), page)
    first = page.read_text()
    assert first.startswith(f"# Above\n{BEGIN}\n### Sharp frames\n12 captions of 6 streams, 0.50")
    assert first.endswith(f"{END}\nbelow\n")
    assert "old" not in first
    row = "| target hidden states |  | 0.50 | 0.50 | 2.00 | 0.050 | 2.00 | 0.50 | 1.00 | - | 0.00 |"
    assert row in first
    assert "| target hidden states + events | target hidden states | +2.00 (0.0" in first
    put(document(), page)
    assert page.read_text() == first
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")
    with pytest.raises(TrainingError, match="lacks the lines"):
        put(document(), page)
    assert page.read_text() == "# Mine\n"
    with pytest.raises(TrainingError, match="cannot read"):
        put(document(), tmp_path / "none.md")


def test_the_page_shows_what_was_measured() -> None:
    measured = json.loads((ROOT / "benchmarks/measured/acceptance.json").read_text())
    assert f"{BEGIN}\n{render(measured)}{END}" in (ROOT / "docs" / "acceptance.md").read_text()
