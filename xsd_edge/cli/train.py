"""`xsd-edge train`: one subcommand a phase, and `drafter` for all of the drafter's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xsd_edge import console
from xsd_edge.cli.group import PLAIN, app
from xsd_edge.cli.shared import RecipeOption, cache_folder, needs

if TYPE_CHECKING:
    from xsd_edge.training.bench import Run

train = typer.Typer(**PLAIN)
app.add_typer(
    train, name="train", help="Train the demo target, or the drafter that its events feed."
)

FolderOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Checkpoints and logs [default: runs/RECIPE]"),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
SaveOption = Annotated[
    float, typer.Option("--save-every", metavar="S", min=0, help="Seconds between checkpoints.")
]
EVERY_S = 120.0


@train.command("target")
def train_target_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
) -> None:
    """Teach the language model to see: tower, projector, then low-rank updates (build host)."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.run import train_target

        _finish(run, train_target)


@train.command("places")
def train_places_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
) -> None:
    """Teach the trained target where things are; before `drafter`, which imitates it."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.run import train_places

        _finish(run, train_places)


@train.command("things")
def train_things_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
) -> None:
    """Teach the trained target to tell several things apart; after `places`."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.run import train_things

        _finish(run, train_things)


@train.command("drafter")
def train_drafter_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
) -> None:
    """The whole road of a drafter: collect, align, draft, accept (build host)."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.run import train_drafter

        _finish(run, train_drafter)


@train.command("align")
def train_align_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
    loss: Annotated[str, typer.Option(metavar="mse|infonce|mse+infonce")] = "mse",
    from_video: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A video; its events are simulated; repeatable."),
    ] = None,
    from_folder: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="A paired recording in DSEC's layout; repeatable."),
    ] = None,
    window_ms: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            min=1,
            help="Events before each frame [default: a clip for videos, 50 for folders]",
        ),
    ] = None,
) -> None:
    """Align event tokens with what the target reads: scenes, or recordings of one's own."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.alignment import LOSSES
        from xsd_edge.training.run import train_align, train_align_on

        _check_loss(loss, LOSSES)
        if from_video or from_folder:
            window = None if window_ms is None else round(window_ms * 1000)
            videos, folders = from_video or [], from_folder or []
            _finish(run, lambda run: train_align_on(run, videos, folders, window, loss))
        else:
            _finish(run, lambda run: train_align(run, loss))


@train.command("draft")
def train_draft_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
    loss: Annotated[str, typer.Option(metavar="kl+tv|kl|tv|ce")] = "kl+tv",
) -> None:
    """Distil the draft head from the target's distributions; `align` comes first."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.losses import DISTILLATION
        from xsd_edge.training.run import train_draft

        _check_loss(loss, DISTILLATION)
        _finish(run, lambda run: train_draft(run, loss))


@train.command("accept")
def train_accept_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
) -> None:
    """Teach the predictor what the verifier accepts, and write the drafter; `draft` comes first."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.run import train_accept

        _finish(run, train_accept)


@train.command("joint")
def train_joint_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
    align_weight: Annotated[float, typer.Option(metavar="W", min=0)] = 0.1,
    accept_weight: Annotated[float, typer.Option(metavar="W", min=0)] = 0.1,
) -> None:
    """Train all parts of a drafter together, and write it; `accept` comes first."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.drafter import JointWeights
        from xsd_edge.training.run import train_joint

        _finish(run, lambda run: train_joint(run, JointWeights(align_weight, accept_weight)))


@train.command("early")
def train_early_command(
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
) -> None:
    """Teach the early drafter on streams that the trained target answers (build host)."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.training.early import train_early_drafter

        _finish(run, train_early_drafter)


@train.command("ablate")
def train_ablate_command(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="A bundle with the recipe's target.")
    ],
    recipe: RecipeOption = "demo",
    folder: FolderOption = None,
    resume: ResumeOption = False,
    save_every: SaveOption = EVERY_S,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help="A page whose marked part is to be the table."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw acceptance by kind of token.")
    ] = None,
) -> None:
    """Train one head on different inputs, and measure each in the real loop (build host)."""
    with _run(recipe, folder, resume, save_every) as run:
        from xsd_edge.bundle import Bundle
        from xsd_edge.training.ablation.plot import draw
        from xsd_edge.training.ablation.run import ablate
        from xsd_edge.training.ablation.table import put

        found = ablate(run, Bundle(bundle))
        if table:
            put(found, table)
        if plot:
            draw(found, plot)
    console.data_json(found, indent=1)


def _check_loss(given: str, known: Mapping[str, object]) -> None:
    from xsd_edge.errors import RecipeError

    if given not in known:
        raise RecipeError(f"--loss must be {' or '.join(known)}, not {given!r}")


@contextmanager
def _run(recipe: str, folder: Path | None, resume: bool, save_every: float) -> Iterator[Run]:
    from xsd_edge.checkpoint_recipe import load_recipe

    pair = load_recipe(recipe)
    with needs("export", "xsd-edge train"):
        from xsd_edge.training.bench import Run
        from xsd_edge.training.loop import ALONE
        from xsd_edge.training.workers import Launched
    launched = "WORLD_SIZE" in os.environ or any(k.startswith("ACCELERATE_") for k in os.environ)
    workers = Launched() if launched else ALONE
    place = folder or Path("runs") / pair.name
    with console.progress() as report:
        yield Run(pair, place, cache_folder(), resume, report, save_every, workers)


def _finish(run: Run, stage: Callable[[Run], Path]) -> None:
    from xsd_edge.errors import ExtraMissingError
    from xsd_edge.training.plot import draw_losses

    written = stage(run)
    if run.workers.rank:
        return
    try:
        console.say(f"drew {draw_losses(run.folder)}")
    except ExtraMissingError as error:
        console.say(str(error))
    console.data(f"{written}")
