"""`xsd-edge setup-udev`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import app
from xsd_edge.cli.shared import invoking_user


@app.command("setup-udev")
def setup_udev(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the rules and write nothing.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="[default: /etc/udev/rules.d/70-xsd-edge-dvs.rules]",
        ),
    ] = None,
) -> None:
    """Let users open event cameras, and link /dev/dvs0 to one: write udev rules (as root)."""
    from xsd_edge.events.live import udev

    path = output or udev.FOLDER / udev.NAME
    console.data(udev.rules().rstrip())
    if dry_run:
        console.say(f"Not written. Without --dry-run this goes to {path}")
        return
    udev.install(path)
    console.say(f"Written to {path}")
    if output is None and not udev.reload():
        console.say("Now run: sudo udevadm control --reload-rules && sudo udevadm trigger")
    console.say("Plug the camera in again; then xsd-edge cameras shows it.")
    user = invoking_user()
    for group in udev.groups_to_join(user):
        console.say(f"Without a desktop session also: sudo usermod -aG {group} {user}")
