"""The options of how clips are answered, which `run` and `profile` share."""

from __future__ import annotations

from typing import Annotated

import typer

# What is looked at, and what is asked.
Video = Annotated[
    str | None,
    typer.Option(metavar="SRC", help="Frames for the target: a video, webcam or image folder."),
]
Frames = Annotated[
    str, typer.Option(metavar="auto|rendered", help="rendered: the target sees event frames.")
]
Offset = Annotated[
    str,
    typer.Option(
        metavar="MS|auto", help="How much later events tell of a moment than frames; auto: measure."
    ),
]
Prompt = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="Ask this about each clip; repeatable.")
]
# How tokens are chosen.
Temperature = Annotated[float, typer.Option(metavar="T", help="0 is greedy.")]
TopP = Annotated[float, typer.Option(metavar="P")]
TopK = Annotated[int, typer.Option(metavar="K", help="0 is all tokens.")]
Seed = Annotated[int, typer.Option(metavar="N")]
# How they are drafted.
Gamma = Annotated[
    str, typer.Option(metavar="auto|N", help="Draft length; auto picks it from what is measured.")
]
Mode = Annotated[
    str, typer.Option(metavar="rejection|exact-match", help="How drafts are verified at T > 0.")
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Pad plain steps to the verify pass: bit-identical.")
]
MaxTokens = Annotated[int, typer.Option(metavar="N", help="The longest answer.")]
