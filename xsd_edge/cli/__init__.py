"""The command line, one module a command. Stages are imported inside: `--help` loads none."""

from xsd_edge.cli import boards, export, run, train  # each registers its command, in this order
from xsd_edge.cli.group import Commands, app

__all__ = ["Commands", "boards", "export", "main", "run", "train"]


def main() -> None:
    app(prog_name="xsd-edge")
