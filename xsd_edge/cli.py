"""The command line. Stages are imported inside the command that needs them: `--help` loads none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from xsd_edge import console
from xsd_edge.errors import ExtraMissingError, XsdEdgeError

if TYPE_CHECKING:
    from xsd_edge.recipe import Recipe

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
READER_GONE = 141  # 128 + SIGPIPE


class Commands(TyperGroup):
    """Turns what a user can mend into one line, and lets everything else show its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except XsdEdgeError as error:
            console.error(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            console.say("xsd-edge: interrupted")
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:
            console.silence_stdout()
            raise typer.Exit(READER_GONE) from error
        return result


# Rich's help costs 0.1 s of imports and rich's tracebacks hide lines: plain ones of both.
PLAIN: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True}
app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False, **PLAIN)
train = typer.Typer(**PLAIN)
app.add_typer(
    train, name="train", help="Train the demo target, or the drafter that its events feed."
)

RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe", metavar="NAME|FILE", help="A recipe: a name in export/, or a TOML file."
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Checkpoints and logs [default: runs/RECIPE]"),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.data(f"xsd-edge {version('xsd-edge')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show it and exit."),
    ] = False,
) -> None:
    """Event cameras draft, a quantized VideoLLaVA verifies: lossless answers, sooner."""


@app.command()
def export(
    target: Annotated[
        str,
        typer.Option(metavar="BOARD|FILE", help="The board to export for; see: xsd-edge boards"),
    ],
    recipe: RecipeOption = "demo",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="[default: bundles/RECIPE-BOARD]"),
    ] = None,
) -> None:
    """Make a bundle: checkpoint -> ONNX, quantized, checked against the original (build host)."""
    from xsd_edge.boards import Board, require_exportable

    board = Board.load(target)
    require_exportable(board)
    pair = _recipe(recipe)
    with _needs("export", "xsd-edge export"):
        from xsd_edge.export.pipeline import export_bundle
    folder = output or Path("bundles") / f"{pair.name}-{board.name}"
    export_bundle(pair, board, folder, cache=_cache(), report=console.say)
    console.data(f"{folder}")


@app.command()
def run(
    bundle: Annotated[Path, typer.Option(metavar="DIR", help="A bundle that export made.")],
    camera: Annotated[
        str,
        typer.Option(metavar="SRC", help="A recording, 'demo', a FIFO or a device of EVT3 bytes."),
    ],
    video: Annotated[
        str | None, typer.Option(metavar="SRC", help="Frames for the target, when SRC has none.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Ask this about each clip; repeatable.")
    ] = None,
    temperature: Annotated[float, typer.Option(metavar="T", help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(metavar="P")] = 1.0,
    top_k: Annotated[int, typer.Option(metavar="K", help="0 is all tokens.")] = 0,
    seed: Annotated[int, typer.Option(metavar="N")] = 0,
    gamma: Annotated[
        str,
        typer.Option(metavar="auto|N", help="Draft length; auto picks it from what is measured."),
    ] = "auto",
    mode: Annotated[
        str, typer.Option(metavar="rejection|exact-match", help="How drafts are verified at T > 0.")
    ] = "rejection",
    plain: Annotated[bool, typer.Option("--plain", help="Draft nothing.")] = False,
    compare_plain: Annotated[
        bool, typer.Option("--compare-plain", help="Also decode plainly; report the speed-up.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Pad plain steps to the verify pass: bit-identical.")
    ] = False,
    frames: Annotated[
        str, typer.Option(metavar="auto|rendered", help="rendered: the target sees event frames.")
    ] = "auto",
    max_tokens: Annotated[int, typer.Option(metavar="N", help="The longest answer.")] = 128,
    max_clips: Annotated[int | None, typer.Option(metavar="N", help="Stop after N clips.")] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Read a recording as fast as it goes, not in real time.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per clip.")] = False,
) -> None:
    """Answer questions about what the cameras see (device)."""
    from xsd_edge.runtime.options import DESCRIBE, Frames, Mode, RunOptions, parse_gamma

    options = RunOptions(
        bundle=bundle,
        camera=camera,
        video=video,
        prompts=tuple(prompt) if prompt else (DESCRIBE,),
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        gamma=parse_gamma(gamma),
        plain=plain,
        exact=exact,
        max_clips=max_clips,
        max_tokens=max_tokens,
        json=as_json,
        fast=fast,
        frames=cast(Frames, frames),  # checked there
        compare_plain=compare_plain,
        mode=cast(Mode, mode),
    )
    from xsd_edge.runtime.app import run as run_until_the_end

    run_until_the_end(options)


@train.command("target")
def train_target_command(
    recipe: RecipeOption = "demo", folder: FolderOption = None, resume: ResumeOption = False
) -> None:
    """Teach the language model to see: tower, projector, then low-rank updates (build host)."""
    pair = _recipe(recipe)
    with _needs("export", "xsd-edge train"):
        from xsd_edge.training.run import train_target
    _train(train_target, pair, folder, resume)


@train.command("drafter")
def train_drafter_command(
    recipe: RecipeOption = "demo", folder: FolderOption = None, resume: ResumeOption = False
) -> None:
    """Distil the drafter from the target's own answers and hidden states (build host)."""
    pair = _recipe(recipe)
    with _needs("export", "xsd-edge train"):
        from xsd_edge.training.run import train_drafter
    _train(train_drafter, pair, folder, resume)


def _train(stage: Callable[..., Path], pair: Recipe, folder: Path | None, resume: bool) -> None:
    with console.progress() as report:
        written = stage(pair, folder or Path("runs") / pair.name, resume, report, _cache())
    console.data(f"{written}")


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


def _recipe(spec: str) -> Recipe:
    from xsd_edge import toml_files
    from xsd_edge.recipe import Recipe

    return Recipe.load(toml_files.find("export", spec))


def _cache() -> Path:
    """Where downloads are kept; the environment is read in this module only."""
    if own := os.environ.get("XSD_EDGE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "xsd-edge"


@contextmanager
def _needs(extra: str, what: str) -> Iterator[None]:
    """A missing package becomes the pip command that installs it; our own bugs stay bugs."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "xsd_edge":
            raise
        raise ExtraMissingError(f"{what} ({error.name} is not installed)", extra) from error


def main() -> None:
    app(prog_name="xsd-edge")
