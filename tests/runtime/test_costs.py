"""Costs are measured without a trace in the cache, and kept per machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.runtime.fakes import Guessing, tiny_decoder
from xsd_edge.runtime.costs import KEPT, Costs, keep_costs, kept_costs, measure_costs, still_true

SOME = Costs(0.1, (1.0, 1.5), 0.2)


def test_measuring_leaves_the_cache_as_it_was() -> None:
    decoder, engine = tiny_decoder(context=64)
    decoder.prefill(decoder.embed([1, 2, 3]))
    costs = measure_costs(decoder, Guessing(range(12)), 4)
    assert decoder.offset == 3
    assert len(costs.v) == 5
    assert costs.v[0] == 1.0
    assert costs.c > 0
    assert costs.row >= 0
    assert max(engine.passes[1:]) == 48


def test_costs_that_are_no_longer_true_are_found_out() -> None:
    decoder, _ = tiny_decoder(context=64)
    decoder.prefill(decoder.embed([1, 2, 3]))
    true = measure_costs(decoder, Guessing(range(12)), 4)
    dear = true._replace(v=tuple(10 * v for v in true.v))
    assert not still_true(decoder, dear)
    assert not still_true(decoder, true._replace(row=10.0))
    assert decoder.offset == 3


def test_one_glance_is_enough_where_nothing_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass takes as many seconds as it has rows: a machine whose costs are known exactly."""
    decoder, engine = tiny_decoder(context=64)
    decoder.prefill(decoder.embed([1, 2, 3]))
    seconds = SimpleNamespace(perf_counter=lambda: float(sum(engine.passes)))
    monkeypatch.setattr("xsd_edge.runtime.costs.time", seconds)
    true = Costs(0.1, (1.0, 2.0, 3.0, 4.0, 5.0), 1.0)
    before = len(engine.passes)
    assert still_true(decoder, true)
    assert len(engine.passes) - before == 1 + 4  # the first pass warms up
    assert not still_true(decoder, true._replace(row=10.0))
    assert len(engine.passes) - before == 2 * (1 + 4) + 2 * 4


def test_costs_are_kept_per_machine(tmp_path: Path) -> None:
    assert kept_costs(tmp_path, "here") is None
    keep_costs(tmp_path, "here", SOME)
    keep_costs(tmp_path, "there", SOME._replace(c=0.5))
    assert kept_costs(tmp_path, "here") == SOME
    assert kept_costs(tmp_path, "there") == SOME._replace(c=0.5)
    assert kept_costs(tmp_path, "elsewhere") is None
    assert [path.name for path in tmp_path.iterdir()] == [KEPT]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"here": 3}', '{"here": {"c": "x"}}'])
def test_a_damaged_file_is_measured_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / KEPT).write_text(text)
    assert kept_costs(tmp_path, "here") is None
    keep_costs(tmp_path, "here", SOME)
    assert kept_costs(tmp_path, "here") == SOME


def test_a_bundle_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    keep_costs(tmp_path / "absent", "here", SOME)
    assert not (tmp_path / "absent").exists()
