"""`xsd-edge profile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from xsd_edge import console
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
    video: Annotated[
        str | None, typer.Option(metavar="SRC", help="Frames for the target, when SRC has none.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Ask this about each clip; repeatable.")
    ] = None,
    max_clips: Annotated[
        int,
        typer.Option(metavar="N", help="Clips to answer; a shorter recording is read again."),
    ] = 20,
    temperature: Annotated[float, typer.Option(metavar="T", help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(metavar="P")] = 1.0,
    top_k: Annotated[int, typer.Option(metavar="K", help="0 is all tokens.")] = 0,
    seed: Annotated[int, typer.Option(metavar="N")] = 0,
    gamma: Annotated[
        str, typer.Option(metavar="auto|N", help="Draft length; auto is what run uses.")
    ] = "auto",
    mode: Annotated[
        str, typer.Option(metavar="rejection|exact-match", help="How drafts are verified at T > 0.")
    ] = "rejection",
    exact: Annotated[
        bool, typer.Option("--exact", help="Pad plain steps, as run --exact.")
    ] = False,
    frames: Annotated[
        str, typer.Option(metavar="auto|rendered", help="rendered: the target sees event frames.")
    ] = "auto",
    max_tokens: Annotated[int, typer.Option(metavar="N", help="The longest answer.")] = 128,
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
    from xsd_edge.runtime.options import (
        DESCRIBE,
        Frames,
        Mode,
        OptionError,
        RunOptions,
        parse_gamma,
    )

    if compare is not None:
        if bundle is not None or camera is not None:
            raise OptionError("--compare reads two profiles; leave out BUNDLE and --camera")
        from xsd_edge.profiling.app import compare as compare_profiles

        compare_profiles(*compare, force=force, as_json=as_json)
        return
    if bundle is None or camera is None:
        raise OptionError("say what to profile: xsd-edge profile BUNDLE --camera SRC")
    from xsd_edge.profiling.app import profile as profile_bundle
    from xsd_edge.profiling.options import ProfileOptions

    run = RunOptions(
        bundle=bundle,
        camera=camera,
        video=video,
        prompts=tuple(prompt) if prompt else (DESCRIBE,),
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        gamma=parse_gamma(gamma),
        exact=exact,
        frames=cast(Frames, frames),  # checked there
        max_tokens=max_tokens,
        mode=cast(Mode, mode),
        force=force,
    )
    options = ProfileOptions(run, max_clips, trace=trace, html=html)
    with console.progress() as steps:
        profile_bundle(
            options,
            as_json=as_json,
            progress=lambda done, wanted: steps("clips", done, wanted, {}),
        )
