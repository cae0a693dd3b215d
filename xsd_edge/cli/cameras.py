"""`xsd-edge cameras`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app


@app.command()
def cameras(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """List the cameras that are plugged in, and what keeps you from opening them."""
    from xsd_edge.events.live.cameras import list_cameras

    found = list_cameras()
    if as_json:
        console.data_json([asdict(camera) for camera in found], indent=2)
        return
    if found:
        rows = [
            (camera.camera, camera.model, camera.serial or "-", camera.node, camera.problem or "ok")
            for camera in found
        ]
        header = ("--camera", "model", "serial", "node", "state")
        console.table(console.Table("Cameras", header, rows))
    if not any(camera.kind != "webcam" for camera in found):
        console.say(
            "No event camera is plugged in. One that is and is not listed here: "
            "give this user access with: sudo xsd-edge setup-udev"
        )
