"""Chooses the contexts whose next tokens are drawn: real ones, where the target is not sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xsd_edge.bundle import DrafterInfo
from xsd_edge.certify.greedy import Hint
from xsd_edge.certify.replay import Context
from xsd_edge.certify.ways import HEAD, NOISY, Way
from xsd_edge.runtime.sampling import Sampling

SURE = 0.95  # a more likely token leaves nothing to be drawn


class Turn(NamedTuple):
    """How one context is drawn from."""

    way: Way
    sampling: Sampling
    raised: bool = False  # the temperature, until the target is unsure


# Every row that a draft may lead to is asked of the real target once. Without truncation everything
# is possible, so only one token is drafted there; behind three drafts of four tokens lie 64 rows.
TURNS = (
    Turn(Way(HEAD, 1), Sampling(1.0)),
    Turn(Way(HEAD, 2), Sampling(1.0, top_p=0.8)),
    Turn(Way(NOISY, 2), Sampling(1.0, top_p=0.7), raised=True),
    Turn(Way(HEAD, 3), Sampling(1.3, top_k=4)),
    Turn(Way(NOISY, 3), Sampling(0.8, top_k=4), raised=True),
    Turn(Way("lookup", 2), Sampling(1.0, top_p=0.9)),
)
SMALL = Sampling(1.5, top_k=3)  # whole answers: few enough to count
SMALL_WAYS = (Way(HEAD, 3), Way("early draft", 2))


def turns_for(info: DrafterInfo) -> tuple[Turn, ...]:
    """TURNS; where there is no draft head, guesses from the target's own logits have its turns."""
    return tuple(
        turn._replace(way=Way(NOISY, turn.way.gamma))
        if turn.way.name == HEAD and not info.has_head
        else turn
        for turn in TURNS
    )


def small_ways_for(info: DrafterInfo) -> tuple[Way, ...]:
    """Those of SMALL_WAYS that a bundle has."""
    return tuple(way for way in SMALL_WAYS if way.name != HEAD or info.has_head)


def next_tokens(hints: Sequence[Hint], count: int, turns: Sequence[Turn] = TURNS) -> list[Context]:
    """`count` contexts inside plain answers, each of another prompt, evenly from the least certain
    to those that are almost sure; sure ones only where there are no others.
    """
    least = [(float(h.surest[1:].min()), n) for n, h in enumerate(hints) if len(h.surest) > 1]
    unsure = sorted(pair for pair in least if pair[0] < SURE)
    chosen = sorted(least)[:count] if len(unsure) <= count else _evenly(unsure, count)
    numbers = sorted(n for _, n in chosen)  # clip by clip
    found: list[Context] = []
    for turn, number in enumerate(numbers):
        hint = hints[number]
        prefix = hint.tokens[: 1 + int(np.argmin(hint.surest[1:]))]
        found.append(
            Context(hint.prompt, prefix, hint.tokens, hint.likely, *turns[turn % len(turns)])
        )
    return found


def small_answers(
    hints: Sequence[Hint], count: int, ways: Sequence[Way] = SMALL_WAYS
) -> list[Context]:
    """`count` prompts whose first tokens are the least certain."""
    order = sorted(range(len(hints)), key=lambda n: float(hints[n].surest[:3].mean()))
    return [
        Context(h.prompt, (), h.tokens, h.likely, ways[turn % len(ways)], SMALL)
        for turn, h in enumerate(hints[n] for n in sorted(order[:count]))
    ]


def _evenly(pairs: list[tuple[float, int]], count: int) -> list[tuple[float, int]]:
    return [pairs[round(at)] for at in np.linspace(0, len(pairs) - 1, count)]
