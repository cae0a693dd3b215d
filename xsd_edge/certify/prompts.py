"""What the target is asked: every question about every clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from xsd_edge.certify.clip import Clip


class Prompt(NamedTuple):
    """One question about one clip."""

    number: int
    clip: Clip
    question: str


def prompts_of(clips: Sequence[Clip], questions: Sequence[str], count: int) -> list[Prompt]:
    """All questions about a clip, then about the next one, until there are enough."""
    pairs = [(clip, question) for clip in clips for question in questions]
    return [Prompt(number, *pair) for number, pair in enumerate(pairs[:count])]
