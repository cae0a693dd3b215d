"""`xsd-edge boards`."""

from __future__ import annotations

from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app


@app.command()
def boards(
    board: Annotated[
        str | None, typer.Argument(metavar="[BOARD|FILE]", help="Show all of this one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """List the boards that --target knows."""
    from xsd_edge import board_tables
    from xsd_edge.boards import Board, known_boards

    shown = (Board.load(board),) if board else known_boards()
    if as_json:
        console.data_json([each.to_dict() for each in shown], indent=2)
        return
    for table in board_tables.details(shown[0]) if board else (board_tables.overview(shown),):
        console.table(table)
