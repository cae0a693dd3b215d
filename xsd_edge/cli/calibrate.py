"""`xsd-edge calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app
from xsd_edge.cli.shared import RecipeOption, cache_folder, needs


@app.command()
def calibrate(
    recipe: RecipeOption = "demo",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="[default: calibration/RECIPE.json]"),
    ] = None,
) -> None:
    """Measure the activation ranges that INT8 export uses (build host)."""
    from xsd_edge.checkpoint_recipe import load_recipe

    found = load_recipe(recipe)
    with needs("export", "xsd-edge calibrate"):
        from xsd_edge.export.calibrate import write_ranges
    with console.progress() as progress:
        written = write_ranges(
            found, output, cache=cache_folder(), report=console.say, progress=progress
        )
    console.data(f"{written}")
