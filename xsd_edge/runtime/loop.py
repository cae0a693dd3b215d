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
from xsd_edge.runtime.sampling import Sampling, mask, runs_of
from xsd_edge.runtime.verifier import NOTHING, Proposal, Verifier


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
    ended: float = 0.0  # when the judge was done, on perf_counter's clock


class Prefilled(NamedTuple):
    """Where an answer starts: prompt and question are in the cache, and what was drafted early.

    Views into the decoder's buffers; `kept` outlives its next pass.
    """

    logits: NDArray[np.float32]  # [1 + g, V] behind the question's last token and each draft
    hidden: NDArray[np.float32]  # [n + g, D] of the question's tokens, then the drafts
    question: tuple[int, ...]  # those n tokens
    proposal: Proposal = NOTHING  # of g tokens, which rode in the question's pass

    def kept(self) -> Prefilled:
        """The start of the same answer without the early draft, copied."""
        asked = len(self.question)
        return Prefilled(self.logits[:1].copy(), self.hidden[:asked].copy(), self.question)


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
    rng: np.random.Generator | None = None,
) -> Iterator[Round]:
    """Answer from a prefilled prompt; without a drafter this is plain decoding of the same target.

    The first round judges what the question's own pass brought, with its early draft if it had one.
    The cache ends up holding the prompt and all emitted tokens but the last. `rng` draws the
    drafts; the verifier has its own generator, so that what is accepted never depends on how drafts
    were drawn.
    """
    ends, forbidden = decoder.info.end_tokens, runs_of(decoder.info.masked_tokens)
    rng = rng or np.random.default_rng()
    least = EXACT_ROWS if limits.exact else 0
    following = start.question[1:]
    unseen = start.hidden  # rows that the drafter does not know yet
    # What a pass left to be judged: [g + 1, V] and [g + 1, D] behind a proposal of g tokens.
    proposal, logits, states = start.proposal, start.logits, start.hidden[len(following) :]
    drafting = verifying = judging = perf_counter()
    emitted = 0
    while True:
        mask(logits, forbidden)
        drafted = len(proposal.tokens)
        accepted, token = verifier.judge(logits, proposal)
        decoder.trim(decoder.offset - (drafted - accepted))
        fresh = (*proposal.tokens[:accepted], token)
        said = fresh[: min(before_end(fresh, ends) + 1, limits.max_tokens - emitted)]
        emitted += len(said)
        if len(said) < len(fresh):  # the answer ended inside the draft
            decoder.trim(decoder.offset - (len(fresh) - len(said)))
        ended = perf_counter()
        yield Round(
            said,
            drafted,
            accepted,
            verifying - drafting,
            judging - verifying,
            ended - judging,
            logits[: len(said)],
            states[: len(said)],
            ended,
        )
        if said[-1] in ends or emitted == limits.max_tokens or decoder.room == 0:
            return
        drafting, proposal = perf_counter(), NOTHING
        if drafter is not None:
            drafter.observe(unseen[: len(following) + len(fresh)], (*following, *fresh))
            # A draft beyond the answer's limit or the context's end could never be emitted.
            most = min(limits.max_tokens - emitted - 1, decoder.room - 1)
            if most > 0:
                proposal = unended(drafter.propose(most, sampling, rng), ends)
        verifying = perf_counter()
        logits, states = decoder.score((token, *proposal.tokens), least)
        judging = perf_counter()
        unseen, following = states, ()


def unended(proposal: Proposal, ends: tuple[int, ...]) -> Proposal:
    """The proposal without an end token and what stands behind it: where the target ends the answer
    there, its own token of the same pass says so, and those rows would be for nothing.

    Only a deterministic proposal may be cut by what it says. To keep back a token for having been
    drawn would change the distribution of what is left (docs/lossless.md).
    """
    kept = before_end(proposal.tokens, ends)
    if proposal.weights is not None or kept == len(proposal.tokens):
        return proposal
    return Proposal(proposal.tokens[:kept])


def before_end(tokens: Sequence[int], ends: tuple[int, ...]) -> int:
    """How many tokens stand before the first end token; all of them where there is none."""
    for index, token in enumerate(tokens):
        if token in ends:
            return index
    return len(tokens)


def margin(logits: NDArray[np.float32]) -> float:
    """How far the best logit of a row is above the second: where it is small, rounding can flip a
    greedy token.
    """
    second, best = np.partition(logits, -2)[-2:]
    return float(best - second)
