"""`xsd-edge run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand

from xsd_edge.cli.answering import (
    Exact,
    Frames,
    Gamma,
    MaxTokens,
    Mode,
    Offset,
    Prompt,
    Seed,
    Temperature,
    TopK,
    TopP,
    Video,
)
from xsd_edge.cli.group import app

WEB = "127.0.0.1:8350"  # where --web without a value serves


class OptionalWeb(TyperCommand):
    """`--web` may stand without a value, which typer cannot express."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for at, argument in enumerate(args):
            following = args[at + 1 : at + 2]
            if argument == "--web" and (not following or following[0].startswith("-")):
                args = [*args[: at + 1], WEB, *args[at + 1 :]]
                break
        return super().parse_args(ctx, args)


# Where clips come from.
Bundle = Annotated[Path, typer.Option(metavar="DIR", help="A bundle that export made.")]
Camera = Annotated[
    str,
    typer.Option(
        metavar="SRC",
        help="A recording, a recorded run, 'demo', a camera, FIFO or URI; see docs/cameras.md.",
    ),
]
# What a run does with drafts.
Plain = Annotated[bool, typer.Option("--plain", help="Draft nothing.")]
ComparePlain = Annotated[
    bool, typer.Option("--compare-plain", help="Also decode plainly; report the speed-up.")
]
# When it ends.
MaxClips = Annotated[int | None, typer.Option(metavar="N", help="Stop after N clips.")]
Fast = Annotated[
    bool, typer.Option("--fast", help="Read a recording as fast as it goes, not in real time.")
]
Reconnect = Annotated[
    bool | None,
    typer.Option(
        "--reconnect/--no-reconnect",
        help="Open SRC again when it goes away. [default: cameras yes, FIFOs and TCP no]",
    ),
]
Wait = Annotated[float, typer.Option(metavar="S", help="Wait up to S seconds for SRC.")]
Force = Annotated[
    bool, typer.Option("--force", help="Run even where the bundle does not fit into free memory.")
]
# Where it goes.
AsJson = Annotated[bool, typer.Option("--json", help="One JSON line per clip.")]
Record = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep events, frames and answers in this new folder."),
]
Web = Annotated[
    str | None,
    typer.Option(metavar="[HOST:PORT]", help=f"Also show it on a web page; else on {WEB}."),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="SECRET", envvar="XSD_EDGE_TOKEN", help="What the page is opened with: ?token=..."
    ),
]


@app.command(cls=OptionalWeb)
def run(
    bundle: Bundle,
    camera: Camera,
    video: Video = None,
    frames: Frames = "auto",
    offset: Offset = "0",
    prompt: Prompt = None,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    top_k: TopK = 0,
    seed: Seed = 0,
    gamma: Gamma = "auto",
    mode: Mode = "rejection",
    plain: Plain = False,
    compare_plain: ComparePlain = False,
    exact: Exact = False,
    max_tokens: MaxTokens = 128,
    max_clips: MaxClips = None,
    fast: Fast = False,
    reconnect: Reconnect = None,
    wait: Wait = 0.0,
    force: Force = False,
    as_json: AsJson = False,
    record: Record = None,
    web: Web = None,
    token: Token = None,
) -> None:
    """Answer questions about what the cameras see (device)."""
    from xsd_edge.runtime import options as asked

    options = asked.RunOptions(
        bundle=bundle,
        camera=camera,
        video=video,
        prompts=tuple(prompt) if prompt else (asked.DESCRIBE,),
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        gamma=asked.parse_gamma(gamma),
        plain=plain,
        exact=exact,
        max_clips=max_clips,
        max_tokens=max_tokens,
        json=as_json,
        fast=fast,
        force=force,
        reconnect=reconnect,
        wait=wait,
        frames=cast(asked.Frames, frames),  # checked there
        compare_plain=compare_plain,
        mode=cast(asked.Mode, mode),
        offset=asked.parse_offset(offset),
        record=record,
    )
    from xsd_edge.web.server import serving

    with serving(web, token) as page:
        from xsd_edge.runtime.app import run as run_until_the_end

        run_until_the_end(options, page)
