"""`xsd-edge inspect`."""

from __future__ import annotations

from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Whatever --camera takes.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Read a recording to its end; tell its format, size, counts and checksum."""
    from xsd_edge.events.inspection import inspect_source
    from xsd_edge.events.source import open_source

    opened = open_source(source)
    try:
        found = inspect_source(opened)
    finally:
        opened.close()
    if as_json:
        console.data_json(found)
        return
    for key, value in found.items():
        console.data(f"{key:12} {value}")
