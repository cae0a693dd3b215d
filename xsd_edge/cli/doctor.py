"""`xsd-edge doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app

NOT_READY = 1


@app.command()
def doctor(
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Look at this bundle too.")
    ] = None,
    root: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the machine's own files are read.")
    ] = Path("/"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Say what is here and the command that mends what is not; exit 1 if run cannot work."""
    from xsd_edge.doctor.examine import examine, is_ready
    from xsd_edge.machine import Machine

    findings = examine(Machine(root), bundle)
    ready = is_ready(findings)
    if as_json:
        document = {"ready": ready, "findings": [asdict(finding) for finding in findings]}
        console.data_json(document, indent=2)
    else:
        for finding in findings:
            console.data(f"{finding.state:6}  {finding.name}: {finding.text}")
            if finding.mend:
                console.data(f"        mend: {finding.mend}")
    if not ready:
        raise typer.Exit(NOT_READY)
