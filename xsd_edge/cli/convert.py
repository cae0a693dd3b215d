"""`xsd-edge convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Whatever --camera takes.")],
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="A file; .raw .evt2 .evt3 .dat .npz .h5 tell a format."),
    ],
    kind: Annotated[
        str | None,
        typer.Option("--format", metavar="evt2|evt3|dat|npz|h5", help="Where OUT does not tell."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it exists.")] = False,
) -> None:
    """Write a recording in another format (EVT2, EVT3, DAT, npz, DSEC's HDF5)."""
    from xsd_edge.events.source import open_source
    from xsd_edge.events.writers.convert import convert as convert_source
    from xsd_edge.events.writers.convert import output_format

    chosen = output_format(out, kind)
    opened = open_source(source)
    try:
        events = convert_source(opened, out, chosen, force=force)
        if opened.frames is not None and chosen != "npz":
            console.say(f"{chosen} has no place for the frames; npz has")
    finally:
        opened.close()
    console.say(f"{events} events as {chosen}")
    console.data(f"{out}")
