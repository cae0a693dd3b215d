"""`xsd-edge export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app
from xsd_edge.cli.shared import RecipeOption, cache_folder, find_recipe, needs


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
) -> None:
    """Make a bundle: checkpoint -> ONNX, quantized, checked against the original (build host)."""
    from xsd_edge.boards import Board, require_exportable

    board = Board.load(target)
    require_exportable(board)
    pair = find_recipe(recipe)
    with needs("export", "xsd-edge export"):
        from xsd_edge.export.pipeline import export_bundle
    folder = output or Path("bundles") / f"{pair.name}-{board.name}"
    export_bundle(pair, board, folder, cache=cache_folder(), report=console.say)
    console.data(f"{folder}")
