"""`xsd-edge certify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsd_edge.cli.group import app

NOT_LOSSLESS = 20  # exit code; the codes of errors are below it


@app.command()
def certify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle that export made.")],
    prompts: Annotated[
        int, typer.Option(metavar="N", help="Clips x questions to answer greedily.")
    ] = 200,
    prompt: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Ask this too about each clip; repeatable."),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(metavar="SRC", help="Take clips from here too, as run does; repeatable."),
    ] = None,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--no-exact", help="Only what run does with (without) --exact; else both."
        ),
    ] = None,
    contexts: Annotated[
        int, typer.Option(metavar="N", help="Contexts whose next tokens are drawn at T > 0.")
    ] = 12,
    max_tokens: Annotated[int, typer.Option(metavar="N", help="The longest answer.")] = 24,
    seed: Annotated[int, typer.Option(metavar="N", help="Of clips, drafts and draws.")] = 0,
    self_test: Annotated[
        bool,
        typer.Option("--self-test", help="Certify loops broken on purpose; all must be found."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The certificate as JSON.")] = False,
) -> None:
    """Prove on your own engines that speculation changes nothing (device); exit 20 if it does."""
    from xsd_edge.certify.options import CertifyOptions

    options = CertifyOptions(
        bundle=bundle,
        prompts=prompts,
        questions=tuple(prompt or ()),
        cameras=tuple(camera or ()),
        exact=exact,
        contexts=contexts,
        max_tokens=max_tokens,
        seed=seed,
        json=as_json,
    )
    from xsd_edge.certify import app as certifying

    passed = certifying.certify_itself if self_test else certifying.certify
    if not passed(options):
        raise typer.Exit(NOT_LOSSLESS)
