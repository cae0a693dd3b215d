"""Drafts a whole answer before the target has seen the clip's end; it rides in the question's pass.

What is proposed here is deterministic, so cutting it short by what it is likely worth cannot bias
the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.planner import PATIENCE, Trust

Chances = NDArray[np.float64]
# A row delays the answer's first token as well as its last. The last counts in full, the first so
# much beside it.
HASTE = 0.5
CURIOUS = 8  # each so many drafts one row more is tried: what is never drafted is never learnt
# What is learnt about a draft's positions is shared by 0, 1, 2-3, 4-7, 8-15 and so on.
OCTAVES = tuple(position.bit_length() for position in range(64))


class EarlyDraft(NamedTuple):
    """Tokens of an answer and the log-odds that each is accepted, given those before it were."""

    tokens: tuple[int, ...]
    log_odds: Chances

    def up_to(self, count: int) -> EarlyDraft:
        return EarlyDraft(self.tokens[:count], self.log_odds[:count])


class EarlyDrafter(Protocol):
    """Proposes an answer from what is known before the target is asked."""

    def propose(
        self, question: Sequence[int], previous: Sequence[int], memory: EventMemory
    ) -> EarlyDraft:
        """`question` as the target will read it; `previous` is the last answer to the same
        question, empty if there is none.
        """


class Repeat:
    """Says the last answer again: what is left when a bundle has no early drafter of its own."""

    def propose(
        self, question: Sequence[int], previous: Sequence[int], memory: EventMemory
    ) -> EarlyDraft:
        # Even odds to begin with; what the verifier then accepts corrects them.
        return EarlyDraft(tuple(previous), np.zeros(len(previous)))


class Cut(NamedTuple):
    """The part of an early draft that is worth its rows, and how likely each token is to stand."""

    tokens: tuple[int, ...] = ()
    chances: tuple[float, ...] = ()


class EarlyPlanner:
    """Cuts early drafts where one more row costs more than it is likely to save."""

    def __init__(self, costs: Costs) -> None:
        self._costs, self._trust = costs, Trust(1 + OCTAVES[-1])
        self._cuts = 0

    def cut(self, draft: EarlyDraft, speed: float) -> Cut:
        """`speed` is how many tokens decoding brings per plain step otherwise."""
        count = min(len(draft.tokens), len(OCTAVES))
        chances = self._trust.chances(draft.log_odds[:count].tolist(), OCTAVES[:count])
        worth = np.cumprod(chances) / speed > (1 + HASTE) * self._costs.row
        length = count if worth.all() else int(np.argmin(worth))
        if count and not length:
            self._trust.relent(PATIENCE)
        self._cuts += 1
        if self._cuts % CURIOUS == 0:
            length = min(length + 1, count)
        return Cut(draft.tokens[:length], tuple(chances[:length]))

    def learn(self, cut: Cut, accepted: int) -> None:
        """How many of its tokens the verifier let stand."""
        self._trust.learn(cut.chances, OCTAVES[: len(cut.chances)], accepted)
