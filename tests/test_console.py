"""What goes to which stream, and how progress looks where no bar can be drawn."""

from __future__ import annotations

import pytest

from xsd_edge import console


def test_talk_and_data_keep_apart(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("working")
    console.data_json({"clip": 1, "answer": "Größe"})
    assert capsys.readouterr() == ('{"clip": 1, "answer": "Größe"}\n', "working\n")


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.error("first\n   second")
    assert capsys.readouterr().err == "xsd-edge: error: first second\n"


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.data_json({"acceptance": float("nan")})


def test_progress_without_a_terminal_is_sparse(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as report:
        for step in range(1, 101):
            report("tower", step, 100, {"loss": 1 / step})
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["tower 1/100 loss 1", "tower 100/100 loss 0.01"]


def test_a_table_without_a_terminal_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(console.Table("Sizes", ("name", "GB"), [("a", "64"), ("longer", "8")]))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["# Sizes", "name    GB", "a       64", "longer  8"]
