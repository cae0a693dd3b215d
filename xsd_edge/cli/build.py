"""`xsd-edge build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app

if TYPE_CHECKING:
    from xsd_edge.runtime.engine_store import Record


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle that export made.")],
    workspace: Annotated[
        int, typer.Option(metavar="MIB", min=1, help="Scratch memory that kernels may use.")
    ] = 512,
    level: Annotated[
        int, typer.Option(metavar="0..5", min=0, max=5, help="How long to look for fast kernels.")
    ] = 3,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Take no engine from the cache.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Build a bundle's TensorRT engines for exactly this board, check and time them (device)."""
    from xsd_edge.build.builder import CompileOptions
    from xsd_edge.build.run import build as build_engines
    from xsd_edge.build.run import without_engine
    from xsd_edge.errors import BundleError
    from xsd_edge.machine import Machine

    options = CompileOptions(workspace_mib=workspace, level=level)
    record = build_engines(bundle, Machine(), options, rebuild, console.say)
    if as_json:
        console.data_json(record.to_dict(), indent=2)
    else:
        _show(record)
    if failed := without_engine(record):
        raise BundleError(
            f"no engine of {', '.join(failed)} passed; ONNX Runtime runs it, much slower"
        )


def _show(record: Record) -> None:
    rows = []
    for name, part in record.parts.items():
        for precision, one in part.candidates.items():
            figures = (one.cosine, one.tolerance, one.median_ms, one.build_s)
            shown = ["-" if value is None else f"{value:g}" for value in figures]
            how = f"{one.builder}, {one.typing}" if one.builder else "-"
            used = "yes" if precision == part.chosen else ""
            rows.append((name, precision, used, *shown, how))
    header = ("part", "precision", "used", "cosine", "at least", "ms", "built in s", "how")
    console.table(console.Table("Engines", header, rows))
