"""The verdict follows from the findings; tables and JSON tell all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.certify.certificate import Certificate
from xsd_edge.certify.g_test import Found
from xsd_edge.certify.greedy import Count, GreedyFindings, Mismatch
from xsd_edge.certify.options import CertifyOptions
from xsd_edge.certify.plain import Rounding
from xsd_edge.certify.report import case_table, say_verdict, tables
from xsd_edge.certify.sampled import SampledFindings, Test
from xsd_edge.certify.self_test import Case
from xsd_edge.certify.streams import StreamFindings
from xsd_edge.certify.ways import Way

WAY = Way("draft head", 3)
RIGHT, WRONG = Found(8.0, 8, 1000), Found(80.0, 8, 1000)


def certificate(
    mismatches: tuple[Mismatch, ...] = (),
    exact_rows: Rounding | None = None,
    streams: StreamFindings | None = None,
    tests: tuple[Test, ...] = (),
    exact: bool | None = None,
) -> Certificate:
    options = CertifyOptions(TINY_BUNDLE, exact=exact)
    greedy = GreedyFindings(
        prompts=5,
        counts={(mode, WAY): Count(10, 80, 40, 20) for mode in options.modes},
        mismatches=list(mismatches),
        rounding={True: exact_rows or Rounding(90), False: Rounding(90, 12, 0.1, 0.01, 0.2)},
    )
    sampled = SampledFindings([Test("next token", "rejection", 3, RIGHT), *tests], [0.999])
    return Certificate(
        options, greedy, streams or StreamFindings(4, 30), sampled, ("demo 0",), 12.3
    )


def mismatch(margin: float, exact: bool) -> Mismatch:
    return Mismatch(2, "demo 0", "What is moving?", WAY, exact, 4, margin, (1, 2), (1, 3))


def test_nothing_found_is_lossless() -> None:
    good = certificate()
    assert good.lossless
    assert good.objections() == []
    assert any("all 10 greedy answers equal" in said for said in good.remarks())


def test_a_tie_without_exact_is_lossless_and_named() -> None:
    tied = certificate((mismatch(0.131, False),))
    assert tied.lossless
    (said,) = [remark for remark in tied.remarks() if remark.startswith("without --exact")]
    assert "9 of 10" in said
    assert "tie margin" in said
    assert "0.131" in said


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (certificate((mismatch(0.0, True),)), "with --exact 1 greedy"),
        (certificate((mismatch(0.3, False),)), "without --exact 1 greedy"),
        (certificate(exact_rows=Rounding(90, 2, 1e-6)), "2 of 90 plain rows"),
        (certificate(streams=StreamFindings(4, 30, Rounding(30, 3, 0.5))), "3 of 30 rows"),
        (certificate(streams=StreamFindings(4, 30, matched=2, unmatched=[1])), "exact-match"),
        (certificate(tests=(Test("whole answer", "rejection", 1, WRONG, WRONG),)), "whole answer"),
    ],
)
def test_each_objection_alone_ends_it(bad: Certificate, says: str) -> None:
    assert not bad.lossless
    (said,) = bad.objections()
    assert says in said


def test_a_test_that_flags_once_is_no_objection() -> None:
    assert certificate(tests=(Test("next token", "exact-match", 3, WRONG, RIGHT),)).lossless


def test_without_exact_rows_of_streams_may_round() -> None:
    rounded = StreamFindings(4, 30, Rounding(30, 3, 0.15), matched=2, unmatched=[1])
    assert certificate(streams=rounded, exact=False).lossless
    assert not certificate(streams=rounded, exact=True).lossless


def test_json_has_what_a_reader_must_know() -> None:
    failed = Test("next token", "rejection", 3, Found(float("inf"), 5, 99), WRONG)
    made = certificate((mismatch(0.05, False), mismatch(0.5, False)), tests=(failed,))
    document = json.loads(json.dumps(made.to_dict(Bundle(TINY_BUNDLE)), allow_nan=False))
    assert document["verdict"] == "not lossless"
    assert document["lossless"] is False
    assert document["seeds"] == {"all": 0}
    assert len(document["engines"]) == 7
    hashes = [sha for files in document["engines"].values() for sha in files.values()]
    assert all(len(sha) == 64 for sha in hashes)
    assert document["machine"]["software"]["onnxruntime"]
    assert "board" in document["machine"]
    tie, wrong = document["greedy"]["mismatches"]
    assert (tie["tie"], wrong["tie"]) == (True, False)
    assert (tie["position"], tie["margin"], tie["gamma"]) == (4, 0.05, 3)
    assert document["greedy"]["tie_margin"] == 0.05
    assert document["greedy"]["ways"][0]["answers"] == 10
    first, second = document["distributions"]["tests"]
    assert first["draws_needed"] > 15_000
    assert (second["g"], second["p"], second["failed"]) == (None, 0.0, True)


def test_tables_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    made = certificate((mismatch(0.05, False),))
    titles = [table.title for table in tables(made)]
    assert len(titles) == 3
    for table in tables(made):
        assert {len(row) for row in table.rows} == {len(table.header)}
    say_verdict(made)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("lossless: 5 prompts, 1 clips, 4 sampled answers, 1000 draws")


def test_a_case_is_right_if_found_exactly_when_broken() -> None:
    cases = [Case("a", True, "x"), Case("b", True, None), Case("c", False, "x")]
    assert [case.right for case in cases] == [True, False, False]
    assert [row[-1] for row in case_table(cases).rows] == ["yes", "NO", "NO"]


def test_options_name_the_modes() -> None:
    def modes(exact: bool | None) -> tuple[bool, ...]:
        return CertifyOptions(Path("b"), exact=exact).modes

    assert (modes(None), modes(True), modes(False)) == ((True, False), (True,), (False,))
