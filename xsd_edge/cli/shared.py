"""What several commands share: the recipe option, the download cache, missing extras."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from xsd_edge.errors import ExtraMissingError

RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe", metavar="NAME|FILE", help="A recipe: a name in export/, or a TOML file."
    ),
]


def cache_folder() -> Path:
    """Where downloads are kept; the environment is read in this module only."""
    if own := os.environ.get("XSD_EDGE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "xsd-edge"


def invoking_user() -> str:
    """Who is at work, also behind sudo."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER", "root")


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """A missing package becomes the pip command that installs it; our own bugs stay bugs."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "xsd_edge":
            raise
        raise ExtraMissingError(f"{what} ({error.name} is not installed)", extra) from error
