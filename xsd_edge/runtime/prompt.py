"""A bundle's prompt as tokens: what stands before a clip's frames, and behind them the question."""

from __future__ import annotations

from tokenizers import Tokenizer

FRAMES, QUESTION = "<video>", "{question}"  # what a prompt has in their places


class Prompt:
    """The words around the frames; only the first ones begin as a text does (with <s>, or so)."""

    def __init__(self, tokenizer: Tokenizer, prompt: str) -> None:
        self._before, self._after = prompt.split(FRAMES)
        self._tokenizer = tokenizer

    @property
    def before(self) -> list[int]:
        """What the target reads before the frames."""
        ids: list[int] = self._tokenizer.encode(self._before).ids
        return ids

    def asked(self, question: str) -> list[int]:
        """What the target reads of a question, the prompt's words around it included."""
        return self.tokens(self._after.replace(QUESTION, question))

    def tokens(self, text: str) -> list[int]:
        """Text that goes on where other text was."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids
