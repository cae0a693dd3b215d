"""The README's table is what profiles/measured says, and that folder is no board."""

from __future__ import annotations

import pytest

from scripts.readme_table import BEGIN, END, ROOT, measured, renewed, table
from xsd_edge.boards import known_boards
from xsd_edge.profiling.document import Document


def test_readme_is_current() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert renewed(text, measured(ROOT / "profiles" / "measured")) == text


def test_row(document: Document) -> None:
    header, line, row = table([document]).splitlines()
    assert header.count("|") == line.count("|") == row.count("|")
    assert "NVIDIA Jetson Orin Nano Developer Kit" in row
    assert ", 15W |" in row
    assert "no sensor" not in row


def test_only_what_lies_between_the_markers_changes(document: Document) -> None:
    text = f"# before\n{BEGIN}\nold\n{END}\nafter\n"
    new = renewed(text, [document])
    assert new.startswith(f"# before\n{BEGIN}\n| machine |")
    assert new.endswith(f"|\n{END}\nafter\n")
    assert renewed(new, [document]) == new
    with pytest.raises(SystemExit, match="markers"):
        renewed("# no markers\n", [document])


def test_measured_profiles_are_no_boards() -> None:
    names = {board.name for board in known_boards()}
    assert not names & {path.stem for path in (ROOT / "profiles" / "measured").glob("*")}
