"""The command line, one module a command. Stages are imported inside: `--help` loads none."""

from xsd_edge.cli import (  # each registers its command, in this order
    analyze,
    boards,
    build,
    calibrate,
    cameras,
    certify,
    convert,
    doctor,
    evaluate,
    export,
    inspect,
    profile,
    run,
    setup_udev,
    train,
)
from xsd_edge.cli.group import Commands, app

__all__ = [
    "Commands",
    "analyze",
    "app",
    "boards",
    "build",
    "calibrate",
    "cameras",
    "certify",
    "convert",
    "doctor",
    "evaluate",
    "export",
    "inspect",
    "main",
    "profile",
    "run",
    "setup_udev",
    "train",
]


def main() -> None:
    app(prog_name="xsd-edge")
