"""The real loop on the remembered logits of one context, drawn from again and again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xsd_edge.certify.bench import Bench
from xsd_edge.certify.cut import Cut
from xsd_edge.certify.g_test import Outcome
from xsd_edge.certify.plain import softmax
from xsd_edge.certify.prompts import Prompt
from xsd_edge.certify.subject import Subject
from xsd_edge.certify.ways import DRAWN_WITH, Materials, Way
from xsd_edge.runtime.loop import Limits, Prefilled
from xsd_edge.runtime.sampling import Probabilities, Sampling, distribution
from xsd_edge.runtime.verifier import NOTHING, Proposal

RECENT = 4  # tokens before the context that the draft head reads; all would cost time, no truth
UNSURE = 0.3  # probability of the likeliest token
HOTTEST = 100.0  # temperature
GUESSED = 12  # likeliest tokens that guesses are made of
NOISE = 1.0  # standard deviation of what is put on their logits


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """Where tokens are drawn, and how: behind the first tokens of a plain answer, or from its
    beginning on where `prefix` is empty.

    `likely` are tokens worth keeping of the target's vocabulary, beside those the drafters know.
    """

    prompt: Prompt
    prefix: tuple[int, ...]
    answer: tuple[int, ...]  # the whole plain answer
    likely: NDArray[np.int64]
    way: Way
    sampling: Sampling
    raised: bool = False  # the temperature, until the target is as unsure as UNSURE


class Replay:
    """Draws from the product's own loop, and tells what the target alone would say.

    The last token of the prefix is forced: it is the only possible one of the first logits, so that
    what is drafted and judged behind it is the next token.
    """

    def __init__(self, bench: Bench, context: Context, seed: int) -> None:
        bench.show(context.prompt.clip)
        start, real = bench.ask(context.prompt.question).kept(), bench.session.decoder
        before, forced = context.prefix[:-1], context.prefix[-1:]
        asked, hidden = (*start.question, *before), start.hidden
        if before:
            states = real.forward(real.embed(before), last=1).hidden
            hidden = np.concatenate([hidden, states])
        self.cut = Cut(bench, (context.likely, asked, context.prefix, context.answer))
        self._memory = bench.memory
        self._forced = self.cut.indices(forced)
        self.covered = self._covered(bench, start, forced)
        logits = self._forcing() if forced else self.cut.rows(start.logits)
        asked = asked[-RECENT:]
        self._start = Prefilled(logits, hidden[-RECENT:], self.cut.indices(asked))
        self._gamma = context.way.gamma or 1
        self._sampling = context.sampling
        if context.raised:
            hotter = temperature_of(self._next_logits(()), UNSURE)
            self._sampling = replace(
                context.sampling, temperature=max(hotter, context.sampling.temperature)
            )
        repeated = self.cut.indices(context.answer[len(context.prefix) - len(forced) :])
        self._drafting = DRAWN_WITH[context.way.name](self._materials(repeated, seed), self._gamma)

    def draws(
        self, subject: Subject, mode: str, depth: int, count: int, rng: np.random.Generator
    ) -> Iterator[Outcome]:
        """The next `depth` tokens, fewer where the answer ends, `count` times."""
        skip = len(self._forced)
        # Room for one whole round: longer answers would only ask the real target for more rows.
        limits = Limits(max(skip + depth, skip + 1 + self._gamma) if skip else depth)
        judging, drawing = rng.spawn(2)
        verifier = subject.verifier(self._sampling, mode, judging)
        drafter, decoder, sampling = self._drafting.drafter, self.cut.decoder, self._sampling
        for _ in range(count):
            drafter.begin(self._memory)
            start = self._begin()
            said: list[int] = []
            rounds = subject.answer(decoder, start, verifier, sampling, limits, drafter, drawing)
            for round_ in rounds:
                said += round_.tokens
                if len(said) >= skip + depth:
                    break
            yield tuple(said[skip : skip + depth])

    def reference(self, depth: int, least: float) -> dict[Outcome, float]:
        """The target's own probabilities of the next `depth` tokens, from plain passes.

        Beginnings less likely than `least` are not followed further: they stand for all that begin
        so.
        """
        found: dict[Outcome, float] = {}
        waiting: list[tuple[Outcome, float]] = [((), 1.0)]
        while waiting:
            said, probability = waiting.pop()
            p = self._next(said).astype(np.float64) * probability
            for token in np.flatnonzero(p):
                longer = (*said, int(token))
                whole = len(longer) == depth or token in self.cut.decoder.info.end_tokens
                if whole or p[token] < least:
                    found[longer] = float(p[token])
                else:
                    waiting.append((longer, float(p[token])))
        return found

    def lean(self) -> NDArray[np.float64]:
        """q / p of each first token: how much rather the drafter proposes it. [S]"""
        p, q = self._next(()), np.zeros(len(self.cut.tokens))
        proposal = NOTHING
        if self._forced:
            drafter, start = self._drafting.drafter, self._start
            drafter.begin(self._memory)
            drafter.observe(start.hidden, (*start.question[1:], *self._forced))
            proposal = drafter.propose(self._gamma, self._sampling, np.random.default_rng(0))
        if proposal.weights is not None and proposal.support is not None:
            q[proposal.support] = proposal.weights[0]
        elif proposal.tokens:
            q[proposal.tokens[0]] = 1.0
        return np.divide(q, p, out=np.zeros(len(p)), where=p > 0)

    def _covered(self, bench: Bench, start: Prefilled, forced: tuple[int, ...]) -> float:
        """The share of the whole target's probability at T = 1 that the kept tokens have."""
        logits, real = start.logits, bench.session.decoder
        if forced:
            where = real.offset
            logits = real.forward(real.embed(forced), last=1, padded_to=2).logits
            real.trim(where)
        return float(softmax(logits)[0, self.cut.tokens].sum())

    def _materials(self, repeated: tuple[int, ...], seed: int) -> Materials:
        logits = self._next_logits(())[0]
        likely = np.argsort(-logits, kind="stable")[:GUESSED].astype(np.int64)
        noise = np.random.default_rng(seed).normal(0.0, NOISE, len(likely))
        guessed = logits[likely] + noise * self._sampling.temperature
        return Materials(self.cut.head, repeated, likely, seed, guessed.astype(np.float32))

    def _next(self, said: Outcome) -> Probabilities:
        """The target's distribution behind some more tokens. [S]"""
        return distribution(self._next_logits(said)[0], self._sampling)

    def _next_logits(self, said: Outcome) -> NDArray[np.float32]:
        """[1, S]"""
        behind = (*self._forced, *said)
        return self.cut.behind(behind) if behind else self._start.logits

    def _begin(self) -> Prefilled:
        """The start of one draw; an early draft runs in the pass before, as behind a question."""
        decoder, start, early = self.cut.decoder, self._start, self._drafting.early
        decoder.trim(0)
        if self._forced or not early:
            return start
        logits, hidden = decoder.forward(decoder.embed(early), last=len(early))
        return Prefilled(
            np.concatenate([start.logits, logits]),
            np.concatenate([start.hidden, hidden]),
            start.question,
            Proposal(early),
        )

    def _forcing(self) -> NDArray[np.float32]:
        logits = np.full((1, len(self.cut.tokens)), -np.inf, np.float32)
        logits[0, list(self._forced)] = 0.0
        return logits


def temperature_of(logits: NDArray[np.float32], largest: float) -> float:
    """The temperature at which the largest probability is `largest`, within a thousandth."""
    low, high = 0.01, HOTTEST
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        if softmax(logits / np.float32(middle)).max() > largest:
            low = middle
        else:
            high = middle
    return high
