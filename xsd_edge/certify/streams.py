"""Whole sampled answers through the real loop: each token's logits must be the target's own.

The distribution tests replay the loop on remembered logits (replay.py). This is their licence: that
the real cache, with all its drafting and trimming, brings the loop the very rows that one clean
pass over the same tokens brings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xsd_edge.certify.bench import Bench
from xsd_edge.certify.plain import Rounding, clean_rows, speak
from xsd_edge.certify.prompts import Prompt
from xsd_edge.certify.subject import Subject
from xsd_edge.certify.ways import DRAFTERS, Materials, drafters_of
from xsd_edge.runtime.loop import Limits, Prefilled
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import ExactMatchVerifier

MODES = ("rejection", "exact-match")
SETTINGS = (Sampling(1.0), Sampling(1.0, top_p=0.8), Sampling(1.3, top_k=8))


@dataclass(slots=True)
class StreamFindings:
    """What sampled answers of the real loop showed."""

    answers: int = 0
    tokens: int = 0
    rows: Rounding = field(default_factory=Rounding)  # against clean passes
    matched: int = 0  # answers in exact-match mode, which must be plain sampling's
    unmatched: list[int] = field(default_factory=list)  # prompts where they are not


class Streams:
    """Answers prompts with sampling; drafters, lengths, settings and both modes take turns."""

    def __init__(
        self, bench: Bench, subject: Subject, exact: bool, max_tokens: int, seed: int
    ) -> None:
        self._bench, self._subject, self._seed = bench, subject, seed
        self._limits = Limits(max_tokens, exact)
        self._every = np.arange(bench.session.manifest.target.vocabulary)
        self._last: tuple[int, ...] = ()
        self._turn = 0
        self.findings = StreamFindings()

    def check(self, prompt: Prompt) -> None:
        """One prompt in both modes."""
        self._bench.show(prompt.clip)
        for mode in MODES:
            self._check(prompt, mode, SETTINGS[self._turn // len(MODES) % len(SETTINGS)])
            self._turn += 1

    def _check(self, prompt: Prompt, mode: str, sampling: Sampling) -> None:
        bench, findings = self._bench, self.findings
        decoder = bench.session.decoder
        start = bench.ask(prompt.question).kept()
        tokens, rows = self._speculate(prompt, mode, sampling, start)
        bench.session.rewind()
        findings.answers += 1
        findings.tokens += len(tokens)
        findings.rows.add(rows, clean_rows(decoder, start, tokens))
        self._last = tokens
        if mode == "exact-match":
            bench.session.rewind()
            verifier = ExactMatchVerifier(sampling, self._rng(0))
            findings.matched += 1
            if speak(decoder, start, verifier, sampling, self._limits).tokens != tokens:
                findings.unmatched.append(prompt.number)

    def _speculate(
        self, prompt: Prompt, mode: str, sampling: Sampling, start: Prefilled
    ) -> tuple[tuple[int, ...], np.ndarray]:
        bench, subject = self._bench, self._subject
        info = bench.session.manifest.drafter
        names, gamma_max = drafters_of(info), info.gamma_max
        given = Materials(bench.session.draft_head, self._last, self._every, self._turn)
        name, gamma = names[self._turn % len(names)], 1 + self._turn // len(names) % gamma_max
        drafting = DRAFTERS[name](given, gamma)
        if drafting.early:
            start = bench.ask(prompt.question, drafting.early)
        drafting.drafter.begin(bench.memory)
        verifier = subject.verifier(sampling, mode, self._rng(0))
        rounds = [
            (round_.tokens, round_.logits.copy())
            for round_ in subject.answer(
                bench.session.decoder,
                start,
                verifier,
                sampling,
                self._limits,
                drafting.drafter,
                self._rng(1),
            )
        ]
        tokens = tuple(token for said, _ in rounds for token in said)
        return tokens, np.concatenate([logits for _, logits in rounds])

    def _rng(self, stream: int) -> np.random.Generator:
        """The verifier's random numbers (0) or the drafter's (1) of this turn."""
        return np.random.default_rng((self._seed, self._turn, stream))
