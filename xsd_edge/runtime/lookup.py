"""Drafts from what was said before: the longest suffix of the answer that an earlier text has."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import Proposal

TEXTS = 8  # remembered
LONGEST = 8  # tokens of a suffix beyond which a match is as good as certain


class Match(NamedTuple):
    """What followed the longest suffix, and how long that suffix is."""

    length: int
    following: tuple[int, ...]


class Lookup:
    """Prompt lookup (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding) over the last
    answers.

    A text is a question with its answer, so that a question asked again finds its last answer
    whole.
    """

    def __init__(self) -> None:
        self._texts: deque[_Text] = deque(maxlen=TEXTS)
        self._said: list[int] = []  # the end of it: no more than can match

    def remember(self, text: Sequence[int]) -> None:
        """The newest text, which wins where several match equally well."""
        self._texts.appendleft(_Text.of(text))

    def begin(self, memory: EventMemory) -> None:
        self._said = []

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        self._said = [*self._said, *following][-LONGEST:]

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        return Proposal(self.match().following[:gamma])

    def match(self) -> Match:
        """The best match in the remembered texts; of length 0 where nothing matches."""
        best = Match(0, ())
        if not self._said:
            return best
        for text in self._texts:
            for end in text.ends.get(self._said[-1], ()):
                length = _common(text.tokens[max(0, end - LONGEST) : end], self._said)
                if length > best.length:
                    best = Match(length, text.tokens[end:])
                    if length == LONGEST:
                        return best
        return best


class _Text(NamedTuple):
    """A remembered text and, by token, where it ends a part of the text that has a continuation."""

    tokens: tuple[int, ...]
    ends: dict[int, list[int]]

    @classmethod
    def of(cls, tokens: Sequence[int]) -> _Text:
        ends: dict[int, list[int]] = {}
        for end, token in enumerate(tokens[:-1], 1):
            ends.setdefault(token, []).append(end)
        return cls(tuple(tokens), ends)


def _common(text: Sequence[int], said: Sequence[int]) -> int:
    """How many last tokens are the same."""
    length = 0
    for ours, theirs in zip(reversed(text), reversed(said), strict=False):
        if ours != theirs:
            break
        length += 1
    return length
