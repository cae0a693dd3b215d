#!/usr/bin/env python3
"""Writes the README's table of measured profiles, between its two markers.

    .venv/bin/python scripts/readme_table.py [--check]

With --check nothing is written; the exit code is 1 if the README does not say what was measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from xsd_edge import console
from xsd_edge.profiling.compare import load
from xsd_edge.profiling.document import Document
from xsd_edge.profiling.tables import interval, number
from xsd_edge.profiling.verdict import TIMES

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- measured: scripts/readme_table.py -->", "<!-- end of measured -->"
HEADER = (
    "machine", "bundle", "decoding", "clip's end to answer", "tokens a round", "acceptance",
    "c", "plain step", "J an answer, drafted / plain",
)  # fmt: skip


def table(profiles: Sequence[Document]) -> str:
    """A Markdown table, one row a profile."""
    if not profiles:
        return "No machine has been profiled yet."
    lines = [HEADER, ("---",) * len(HEADER), *map(_row, profiles)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def renewed(readme: str, profiles: Sequence[Document]) -> str:
    """The README with the table between its markers replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"README.md lacks the markers {BEGIN} and {END}; put both on lines of their own")
    return f"{before}{BEGIN}\n{table(profiles)}\n{END}{after}"


def measured(folder: Path) -> list[Document]:
    return [load(path) for path in sorted(folder.glob("*.json"))]


def _row(profile: Document) -> tuple[str, ...]:
    machine, bundle = profile["machine"], profile["bundle"]
    name = machine["model"] or machine["processor"] or machine["architecture"]
    mode = f", {machine['power_mode']}" if machine["power_mode"] else ""
    speedup, accepted, costs = profile["speedup"], profile["acceptance"], profile["costs"]
    joules = [profile["power"][arm]["energy_per_answer_j"] for arm in ("drafted", "plain")]
    return (
        f"{name}, {machine['cores']} cores{mode}",
        f"{bundle['recipe']} for {bundle['board']}",
        interval(speedup["decode"]["measured"], TIMES),
        interval(speedup["answer"]["measured"], TIMES),
        number(accepted["tokens_per_round"], 2),
        number(accepted["alpha"]["value"] if accepted["alpha"] else None, 2),
        number(costs["c"]["value"], 3),
        number(costs["step_ms"], 2, " ms"),
        "no sensor" if None in joules else " / ".join(f"{j:.2f}" for j in joules),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    new = renewed(text, measured(ROOT / "profiles" / "measured"))
    if given.check:
        if new != text:
            sys.exit(
                "README.md's table is not what profiles/measured says: scripts/readme_table.py"
            )
    elif new != text:
        readme.write_text(new, encoding="utf-8")
        console.say("README.md: table renewed")


if __name__ == "__main__":
    main()
