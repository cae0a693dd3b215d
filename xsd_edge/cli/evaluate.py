"""`xsd-edge evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xsd_edge import console
from xsd_edge.cli.group import app


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle that export made.")],
    scenes: Annotated[
        str,
        typer.Option(
            metavar="FILE|A:B", help="A JSON list of scene seeds, or the seeds from A up to B."
        ),
    ],
    gamma: Annotated[int, typer.Option(metavar="N", min=1, help="Draft length.")] = 5,
    streams: Annotated[
        bool, typer.Option("--streams", help="Take each seed as a stream of ten clips, too.")
    ] = False,
    streams_only: Annotated[
        bool, typer.Option("--streams-only", help="Take them as streams and as nothing else.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure answers, acceptance and the predictor on scenes, through the real runtime."""
    from xsd_edge.bundle import Bundle
    from xsd_edge.training import quality

    seeds = quality.parse_scenes(scenes)
    with console.progress() as report:
        found: dict[str, Any] = {}
        if not streams_only:
            found = quality.evaluate(Bundle(bundle), seeds, gamma, report).fields()
        if streams or streams_only:
            from xsd_edge.training.stream_quality import evaluate_streams

            found |= evaluate_streams(Bundle(bundle), seeds, report)
    if as_json:
        console.data_json({"bundle": str(bundle), **found}, indent=2)
        return
    console.table(console.Table(f"{bundle}", ("figure", "value"), _rows(found)))


def _rows(found: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in found.items():
        if isinstance(value, dict):
            rows += _rows(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            rows.append((prefix + name, " ".join(map(_shown, value))))
        else:
            rows.append((prefix + name, _shown(value)))
    return rows


def _shown(value: float | str | None) -> str:
    if isinstance(value, str):
        return value
    return "-" if value is None else f"{value:g}"
