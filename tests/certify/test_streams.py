"""Sampled answers through the real loop and cache."""

from __future__ import annotations

import pytest

from xsd_edge.certify.bench import Bench
from xsd_edge.certify.broken import BROKEN
from xsd_edge.certify.prompts import Prompt
from xsd_edge.certify.streams import StreamFindings, Streams
from xsd_edge.certify.subject import PRODUCT, Subject

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


@pytest.mark.parametrize("name", ["KV not trimmed", "off-by-one bonus token"])
def test_rows_of_another_sequence_are_seen(bench: Bench, prompts: list[Prompt], name: str) -> None:
    found = findings(bench, prompts, BY_NAME[name])
    assert found.rows.differing if name == "KV not trimmed" else found.unmatched


def test_exact_match_is_held_to_the_plain_stream(bench: Bench, prompts: list[Prompt]) -> None:
    assert findings(bench, prompts, BY_NAME["residual from p instead of p - q"]).unmatched
