"""What one `xsd-edge certify` is asked to do, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xsd_edge.runtime.options import DESCRIBE, OptionError

QUESTIONS = (
    DESCRIBE,
    "What is moving?",
    "What stays still?",
    "How many objects are there?",
    "How many objects are moving?",
    "Which way does it move?",
    "What colour is it?",
    "Where is the largest object?",
)


@dataclass(frozen=True, slots=True)
class CertifyOptions:
    """The options of `xsd-edge certify`.

    Raises:
        OptionError: a value out of range.
    """

    bundle: Path
    prompts: int = 200  # clips x questions that are answered greedily
    questions: tuple[str, ...] = ()  # the user's own, asked before QUESTIONS
    cameras: tuple[str, ...] = ()  # where further clips come from
    exact: bool | None = None  # certify padded passes only, unpadded ones only, or both
    contexts: int = 12  # whose next tokens are drawn
    max_tokens: int = 24  # longest answer
    seed: int = 0
    json: bool = False

    def __post_init__(self) -> None:
        for name, value, least in (
            ("--prompts", self.prompts, 1),
            ("--contexts", self.contexts, 1),
            ("--max-tokens", self.max_tokens, 2),
            ("--seed", self.seed, 0),
        ):
            if value < least:
                raise OptionError(f"{name} must be {least} or above, not {value}")
        if not all(question.strip() for question in self.questions):
            raise OptionError("--prompt is empty; leave it out to ask the questions built in")
        if not all(self.cameras):
            raise OptionError("--camera is empty; give a recording, a device, a FIFO or 'demo'")

    @property
    def asked(self) -> tuple[str, ...]:
        """All questions; each is asked about each clip."""
        return tuple(dict.fromkeys((*self.questions, *QUESTIONS)))

    @property
    def modes(self) -> tuple[bool, ...]:
        """Exact (padded) or not, of the greedy answers to certify."""
        return (True, False) if self.exact is None else (self.exact,)
