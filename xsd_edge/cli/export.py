"""`xsd-edge export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app
from xsd_edge.cli.shared import RecipeOption, cache_folder, needs


@app.command()
def export(
    target: Annotated[
        str,
        typer.Option(metavar="BOARD|FILE", help="The board to export for; see: xsd-edge boards"),
    ],
    recipe: RecipeOption = "demo",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="[default: bundles/RECIPE-BOARD]"),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Rehearse with random weights of the recipe's shapes; download and keep nothing.",
        ),
    ] = False,
) -> None:
    """Make a bundle: checkpoint -> ONNX, quantized, checked against the original (build host)."""
    from xsd_edge.boards import Board
    from xsd_edge.checkpoint_recipe import load_recipe, require_shapes

    board, found = Board.load(target), load_recipe(recipe)
    if dry_run:
        shapes = require_shapes(found)
        with needs("export", "xsd-edge export"):
            from xsd_edge.export.rehearsal import rehearse
        with console.progress() as progress:
            outcome = rehearse(shapes, board, report=console.say, progress=progress)
        console.data_json(outcome, indent=1)
        return
    with needs("export", "xsd-edge export"):
        from xsd_edge.export.pipeline import export_bundle
    folder = output or Path("bundles") / f"{found.name}-{board.name}"
    with console.progress() as progress:
        export_bundle(
            found, board, folder, cache=cache_folder(), report=console.say, progress=progress
        )
    console.data(f"{folder}")
