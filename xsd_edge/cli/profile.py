"""`xsd-edge profile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from xsd_edge import console
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


@app.command()
def profile(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="A bundle that export made.")
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(metavar="SRC", help="As for run: a recording, 'demo', a camera, a FIFO."),
    ] = None,
    video: Video = None,
    prompt: Prompt = None,
    max_clips: Annotated[
        int,
        typer.Option(metavar="N", help="Clips to answer; a shorter recording is read again."),
    ] = 20,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    top_k: TopK = 0,
    seed: Seed = 0,
    gamma: Gamma = "auto",
    mode: Mode = "rejection",
    exact: Exact = False,
    frames: Frames = "auto",
    offset: Offset = "0",
    max_tokens: MaxTokens = 128,
    as_json: Annotated[bool, typer.Option("--json", help="The whole profile as JSON.")] = False,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a trace that ui.perfetto.dev opens."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report for a browser.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A.json B.json", help="What changed from profile A to B; no BUNDLE."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Compare across boards or bundles; run in too little memory."),
    ] = False,
) -> None:
    """Measure stages, acceptance, speed-up, memory and power of a bundle (device)."""
    from xsd_edge.runtime import options as asked

    if compare is not None:
        if bundle is not None or camera is not None:
            raise asked.OptionError("--compare reads two profiles; leave out BUNDLE and --camera")
        from xsd_edge.profiling.app import compare as compare_profiles

        compare_profiles(*compare, force=force, as_json=as_json)
        return
    if bundle is None or camera is None:
        raise asked.OptionError("say what to profile: xsd-edge profile BUNDLE --camera SRC")
    from xsd_edge.profiling.app import profile as profile_bundle
    from xsd_edge.profiling.options import ProfileOptions

    run = asked.RunOptions(
        bundle=bundle,
        camera=camera,
        video=video,
        prompts=tuple(prompt) if prompt else (asked.DESCRIBE,),
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        gamma=asked.parse_gamma(gamma),
        exact=exact,
        frames=cast(asked.Frames, frames),  # checked there
        max_tokens=max_tokens,
        mode=cast(asked.Mode, mode),
        offset=asked.parse_offset(offset),
        force=force,
    )
    options = ProfileOptions(run, max_clips, trace=trace, html=html)
    with console.progress() as steps:
        profile_bundle(
            options,
            as_json=as_json,
            progress=lambda done, wanted: steps("clips", done, wanted, {}),
        )
