"""Sampled answers through the real loop and cache."""

from __future__ import annotations

import numpy as np

from xsd_edge.certify.bench import Bench
from xsd_edge.certify.broken import BROKEN, BonusOffByOne
from xsd_edge.certify.prompts import Prompt
from xsd_edge.certify.streams import StreamFindings, Streams
from xsd_edge.certify.subject import PRODUCT, Subject
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import Verifier, verifier_for

BY_NAME = {subject.name: subject for subject in BROKEN}


def findings(bench: Bench, prompts: list[Prompt], subject: Subject) -> StreamFindings:
    streams = Streams(bench, subject, True, 12, 0)
    for prompt in prompts:
        streams.check(prompt)
    return streams.findings


def test_every_row_is_the_targets_own(bench: Bench, prompts: list[Prompt]) -> None:
    found = findings(bench, prompts, PRODUCT)
    assert found.answers == 2 * len(prompts)
    assert found.rows.rows == found.tokens
    assert found.rows.differing == 0
    assert found.matched == len(prompts)
    assert found.unmatched == []


def test_rows_of_another_sequence_are_seen(bench: Bench, prompts: list[Prompt]) -> None:
    assert findings(bench, prompts, BY_NAME["KV not trimmed"]).rows.differing


def test_exact_match_is_held_to_the_plain_stream(bench: Bench, prompts: list[Prompt]) -> None:
    def off_by_one(sampling: Sampling, mode: str, rng: np.random.Generator) -> Verifier:
        return BonusOffByOne(verifier_for(sampling, mode, rng))

    assert findings(bench, prompts, Subject("off by one", verifier=off_by_one)).unmatched
