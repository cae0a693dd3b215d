"""The generation loop: draft, verify in one pass, emit, roll back; one `Round` at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.decoder import EXACT_ROWS, Decoder
from xsd_edge.runtime.drafter import Drafter
from xsd_edge.runtime.planner import Planner
from xsd_edge.runtime.sampling import Sampling, mask, runs_of
from xsd_edge.runtime.verifier import Proposal, Verifier

NOTHING = Proposal(())


class Round(NamedTuple):
    """What one target pass brought. The prefill's own token is a round that drafted nothing."""

    tokens: tuple[int, ...]  # emitted, the end token included
    drafted: int
    accepted: int  # of the drafted, also where the answer's end cuts them off
    draft_s: float
    verify_s: float
    judge_s: float
    # What chose the n tokens. Views, good until the next round.
    logits: NDArray[np.float32]  # [n, V]
    hidden: NDArray[np.float32]  # [n, D]


class Prefilled(NamedTuple):
    """Where an answer starts: the prompt is in the cache."""

    logits: NDArray[np.float32]  # [1, V] behind the prompt's last token
    hidden: NDArray[np.float32]  # [n, D] of the question's tokens
    question: tuple[int, ...]  # those n tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """When an answer ends, beside an end token and a full context."""

    max_tokens: int = 128
    exact: bool = False  # pad every pass, so that plain and speculative decoding round alike


def generate(
    decoder: Decoder,
    start: Prefilled,
    verifier: Verifier,
    sampling: Sampling,
    limits: Limits,
    drafter: Drafter | None = None,
    planner: Planner | None = None,
    rng: np.random.Generator | None = None,
) -> Iterator[Round]:
    """Answer from a prefilled prompt; without a drafter this is plain decoding of the same target.

    The cache ends up holding the prompt and all emitted tokens but the last. `rng` draws the
    drafts; the verifier has its own generator, so that what is accepted never depends on how drafts
    were drawn.
    """
    info = decoder.info
    forbidden = runs_of(info.masked_tokens)
    rng = rng or np.random.default_rng()
    least = EXACT_ROWS if limits.exact else 0

    mask(start.logits, forbidden)
    began = perf_counter()
    first = verifier.judge(start.logits, NOTHING).token
    spent = perf_counter() - began
    yield Round((first,), 0, 0, 0.0, 0.0, spent, start.logits, start.hidden[-1:])
    token, emitted, hidden = first, 1, start.hidden
    following: Sequence[int] = (*start.question[1:], first)
    while token not in info.end_tokens and emitted < limits.max_tokens and decoder.room > 0:
        began = perf_counter()
        proposal = NOTHING
        if drafter is not None:
            drafter.observe(hidden, following)
            # A draft beyond the answer's limit or the context's end could never be emitted.
            most = min(limits.max_tokens - emitted - 1, decoder.room - 1)
            gamma = min(planner.gamma(hidden[-1]), most) if planner else most
            if gamma > 0:
                proposal = drafter.propose(gamma, sampling, rng)
        drafted = len(proposal.tokens)
        verifying = perf_counter()
        rows = decoder.embed((token, *proposal.tokens))
        logits, states = decoder.forward(rows, last=drafted + 1, padded_to=least)
        judging = perf_counter()
        mask(logits, forbidden)
        accepted, token = verifier.judge(logits, proposal)
        decoder.trim(decoder.offset - (drafted - accepted))
        following = (*proposal.tokens[:accepted], token)
        hidden = states[: accepted + 1]
        said = _until_end(following, info.end_tokens)
        emitted += len(said)
        if len(said) < len(following):  # the answer ended inside the draft
            decoder.trim(decoder.offset - (len(following) - len(said)))
            token = said[-1]
        ended = perf_counter()
        yield Round(
            said,
            drafted,
            accepted,
            verifying - began,
            judging - verifying,
            ended - judging,
            logits[: len(said)],
            hidden[: len(said)],
        )


def _until_end(tokens: tuple[int, ...], ends: tuple[int, ...]) -> tuple[int, ...]:
    for index, token in enumerate(tokens):
        if token in ends:
            return tokens[: index + 1]
    return tokens


def margin(logits: NDArray[np.float32]) -> float:
    """How far the best logit of a row is above the second: where it is small, rounding can flip a
    greedy token.
    """
    second, best = np.partition(logits, -2)[-2:]
    return float(best - second)
