"""`xsd-edge train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import PLAIN, app
from xsd_edge.cli.shared import RecipeOption, cache_folder, find_recipe, needs

if TYPE_CHECKING:
    from xsd_edge.recipe import Recipe

train = typer.Typer(**PLAIN)
app.add_typer(
    train, name="train", help="Train the demo target, or the drafter that its events feed."
)

FolderOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Checkpoints and logs [default: runs/RECIPE]"),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]


@train.command("target")
def train_target_command(
    recipe: RecipeOption = "demo", folder: FolderOption = None, resume: ResumeOption = False
) -> None:
    """Teach the language model to see: tower, projector, then low-rank updates (build host)."""
    pair = find_recipe(recipe)
    with needs("export", "xsd-edge train"):
        from xsd_edge.training.run import train_target
    _train(train_target, pair, folder, resume)


@train.command("drafter")
def train_drafter_command(
    recipe: RecipeOption = "demo", folder: FolderOption = None, resume: ResumeOption = False
) -> None:
    """Distil the drafter from the target's own answers and hidden states (build host)."""
    pair = find_recipe(recipe)
    with needs("export", "xsd-edge train"):
        from xsd_edge.training.run import train_drafter
    _train(train_drafter, pair, folder, resume)


@train.command("early")
def train_early_command(
    recipe: RecipeOption = "demo", folder: FolderOption = None, resume: ResumeOption = False
) -> None:
    """Teach the early drafter on streams that the trained target answers (build host)."""
    pair = find_recipe(recipe)
    with needs("export", "xsd-edge train"):
        from xsd_edge.training.early import train_early_drafter
    _train(train_early_drafter, pair, folder, resume)


def _train(stage: Callable[..., Path], pair: Recipe, folder: Path | None, resume: bool) -> None:
    with console.progress() as report:
        written = stage(pair, folder or Path("runs") / pair.name, resume, report, cache_folder())
    console.data(f"{written}")
