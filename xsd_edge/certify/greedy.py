"""Greedy certification: speculative answers against plain ones, token for token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xsd_edge.certify.bench import Bench
from xsd_edge.certify.plain import Rounding, Rows, Spoken, clean_rows, softmax, speak
from xsd_edge.certify.prompts import Prompt
from xsd_edge.certify.subject import Subject
from xsd_edge.certify.ways import AUTO, DRAFTERS, Drafting, Materials, Way, all_ways
from xsd_edge.runtime.answer import Decoding
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.loop import Limits, Prefilled, margin
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.speculation import Speculation
from xsd_edge.runtime.verifier import GreedyVerifier

GREEDY = Sampling()
LIKELY = 64  # tokens of each row that contexts of this answer may want


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where a speculative answer leaves the plain one."""

    prompt: int
    clip: str
    question: str
    way: Way
    exact: bool
    position: int
    margin: float | None  # top-2 margin of the plain logits there; None: plain had ended
    plain: tuple[int, ...]
    said: tuple[int, ...]


@dataclass(slots=True)
class Count:
    """What one way of drafting got."""

    answers: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    mismatches: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Hint:
    """What a plain answer tells those who look for contexts: how sure each token was, and which
    tokens [m] could have come instead.
    """

    prompt: Prompt
    tokens: tuple[int, ...]
    surest: NDArray[np.float64]  # [n] largest probability at T = 1
    likely: NDArray[np.int64]


@dataclass
class GreedyFindings:
    """All that greedy answers showed, by mode (exact or not)."""

    prompts: int = 0
    counts: dict[tuple[bool, Way], Count] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)
    rounding: dict[bool, Rounding] = field(default_factory=dict)
    hints: list[Hint] = field(default_factory=list)

    def wrong(self, exact: bool) -> list[Mismatch]:
        """Mismatches that rounding does not explain."""
        tie = 0.0 if exact else self.rounding[exact].moved
        mine = [m for m in self.mismatches if m.exact == exact]
        return [m for m in mine if exact or m.margin is None or m.margin > tie]

    def ties(self) -> list[Mismatch]:
        """Mismatches without `--exact` that rounding explains."""
        wrong = self.wrong(False) if False in self.rounding else []
        return [m for m in self.mismatches if not m.exact and m not in wrong]

    @property
    def tie_margin(self) -> float | None:
        """The largest plain top-2 margin at a tie; None where there were no ties."""
        return max((m.margin for m in self.ties() if m.margin is not None), default=None)


class _Clean:
    """Clean passes over one prompt's plain answers: most are the same in both modes."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], Rows] = {}

    def rows(self, decoder: Decoder, start: Prefilled, tokens: tuple[int, ...]) -> Rows:
        """As `clean_rows`, where the cache ends with the prompt."""
        if tokens not in self._known:
            self._known[tokens] = clean_rows(decoder, start, tokens)
        return self._known[tokens]


class Greedy:
    """Answers each prompt plainly and in one way of drafting, in each mode; ways take turns."""

    def __init__(
        self, bench: Bench, subject: Subject, modes: Sequence[bool], max_tokens: int, seed: int
    ) -> None:
        self._bench, self._subject, self._seed = bench, subject, seed
        self._limits = {exact: Limits(max_tokens, exact) for exact in modes}
        self._ways = all_ways(bench.session.manifest.drafter)
        self._planned = Speculation(bench.session, None)
        self._last: tuple[int, ...] = ()
        # Masked tokens too: a drafter may propose what it likes.
        self._every = np.arange(bench.session.manifest.target.vocabulary)
        self.findings = GreedyFindings(rounding={exact: Rounding() for exact in modes})

    def check(self, prompt: Prompt) -> None:
        """One prompt, in every mode."""
        self._bench.show(prompt.clip)
        start, clean, rode = self._bench.ask(prompt.question).kept(), _Clean(), False
        for nth, (exact, limits) in enumerate(self._limits.items()):
            # The second mode is half a cycle ahead: a prompt is then drafted for in two ways.
            turn = self.findings.prompts + nth * (len(self._ways) // 2)
            way = self._ways[turn % len(self._ways)]
            if rode:  # the question's rows come from a pass that an early draft rode in
                self._bench.ask(prompt.question)
            plain = self._plain(start, exact, limits, clean)
            if exact == next(iter(self._limits)):
                self._hint(prompt, plain)
            repeated = self._half_right(prompt, plain.tokens)
            drafting = self._drafting(prompt, way, repeated)
            spoken = self._answer(prompt, drafting, start, limits)
            if way == AUTO:
                self._planned.answered(prompt.question, start.question, spoken)
            self._compare(prompt, way, exact, plain, spoken)
            self._last = plain.tokens
            rode = bool(drafting.early)
        self.findings.prompts += 1

    def _plain(self, start: Prefilled, exact: bool, limits: Limits, clean: _Clean) -> Spoken:
        session = self._bench.session
        session.rewind()
        plain = speak(session.decoder, start, GreedyVerifier(), GREEDY, limits)
        session.rewind()
        rows = clean.rows(session.decoder, start, plain.tokens)
        self.findings.rounding[exact].add(plain.logits, rows)
        return plain

    def _hint(self, prompt: Prompt, plain: Spoken) -> None:
        surest = softmax(plain.logits).max(-1)
        likely = np.argpartition(plain.logits, -min(LIKELY, plain.logits.shape[1]))[:, -LIKELY:]
        self.findings.hints.append(
            Hint(prompt, plain.tokens, surest, np.unique(likely).astype(np.int64))
        )

    def _half_right(self, prompt: Prompt, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """This answer up to some token, then as the last one went on: for drafters that repeat."""
        right = prompt.number % (len(tokens) + 1)
        return tokens[:right] + self._last[right:]

    def _drafting(self, prompt: Prompt, way: Way, repeated: tuple[int, ...]) -> Drafting:
        if way.gamma is None:
            most = max(limits.max_tokens for limits in self._limits.values())
            self._planned.foresee(self._bench.memory, (prompt.question,), most)
            return Drafting(self._planned.begin(), self._planned.early(prompt.question))
        head = self._bench.session.draft_head
        given = Materials(head, repeated, self._every, prompt.number)
        drafting = DRAFTERS[way.name](given, way.gamma)
        drafting.drafter.begin(self._bench.memory)
        return drafting

    def _answer(
        self, prompt: Prompt, drafting: Drafting, start: Prefilled, limits: Limits
    ) -> Decoding:
        bench, spoken = self._bench, Decoding()
        if drafting.early:
            start = bench.ask(prompt.question, drafting.early)
        else:
            bench.session.rewind()
        rng = np.random.default_rng((self._seed, prompt.number))
        verifier = self._subject.verifier(GREEDY, "rejection", rng)
        for round_ in self._subject.answer(
            bench.session.decoder, start, verifier, GREEDY, limits, drafting.drafter, rng
        ):
            spoken.add(round_, 0.0)
        return spoken

    def _compare(
        self, prompt: Prompt, way: Way, exact: bool, plain: Spoken, spoken: Decoding
    ) -> None:
        said = tuple(spoken.tokens)
        count = self.findings.counts.setdefault((exact, way), Count())
        count.answers += 1
        count.tokens += len(said)
        count.drafted += spoken.drafted + spoken.early_drafted
        count.accepted += spoken.accepted + spoken.early_accepted
        if said == plain.tokens:
            return
        count.mismatches += 1
        shared = min(len(said), len(plain.tokens))
        pairs = zip(said, plain.tokens, strict=False)
        position = next((at for at, (a, b) in enumerate(pairs) if a != b), shared)
        ended = position == len(plain.tokens)
        self.findings.mismatches.append(
            Mismatch(
                prompt.number,
                prompt.clip.name,
                prompt.question,
                way,
                exact,
                position,
                None if ended else margin(plain.logits[position]),
                plain.tokens,
                said,
            )
        )
