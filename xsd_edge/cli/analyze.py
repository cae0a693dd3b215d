"""`xsd-edge analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xsd_edge import console
from xsd_edge.cli.group import app
from xsd_edge.cli.shared import needs


@app.command()
def analyze(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle that export made.")],
    scenes: Annotated[
        str, typer.Option(metavar="FILE|A:B", help="A JSON list of scene seeds, or a range.")
    ] = "1000000000:1000000200",
    gamma: Annotated[int, typer.Option(metavar="N", min=1, help="Draft length.")] = 5,
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the clouds and bounds as well.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure the gap between events and video, and what acceptance owes to it (build host)."""
    from xsd_edge.bundle import Bundle
    from xsd_edge.training.quality import parse_scenes

    with needs("analysis", "xsd-edge analyze"):
        from xsd_edge.analysis.report import analyze as measure
    seeds = parse_scenes(scenes)
    with console.progress() as report:
        found = measure(Bundle(bundle), seeds, gamma, report)
    if plot is not None:
        from xsd_edge.analysis.plot import draw

        draw(found, f"{bundle.name}, {len(seeds)} scenes", plot)
        console.say(f"drew {plot}")
    if as_json:
        console.data_json({"bundle": str(bundle), **found.fields()}, indent=2)
        return
    for table in _tables(found.fields()):
        console.table(table)


def _tables(found: dict[str, Any]) -> list[console.Table]:
    before, after = found["features"]["before"], found["features"]["after"]
    gap = [(name, f"{before[name]:.4g}", f"{after[name]:.4g}") for name in before]
    header = ["figure", "all", *(str(row["position"]) for row in found["positions"])]
    columns = [found["acceptance"], *found["positions"]]
    rows = [[name, *(f"{c[name]:.4g}" for c in columns)] for name in found["acceptance"]]
    title = f"events and video, {found['clips']} clips"
    return [
        console.Table(title, ("measure", "before alignment", "after"), gap),
        console.Table("acceptance at temperature 1, by draft position", header, rows),
    ]
