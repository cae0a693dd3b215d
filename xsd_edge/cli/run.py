"""`xsd-edge run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from xsd_edge.cli.group import app


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
