"""The certificate as tables, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xsd_edge import console
from xsd_edge.bundle import Bundle
from xsd_edge.certify.certificate import Certificate, engine_hashes
from xsd_edge.certify.g_test import DISTANCE, LEVEL, POWER, draws_for
from xsd_edge.certify.greedy import Count
from xsd_edge.certify.options import CertifyOptions
from xsd_edge.certify.self_test import Case
from xsd_edge.console import Table
from xsd_edge.machine import Machine
from xsd_edge.profiling.facts import bundle_facts, machine_facts

SHOWN = 20  # mismatches; --json has all


def tables(certificate: Certificate) -> list[Table]:
    """All there is to show; no table of mismatches where there are none."""
    found = [_ways(certificate), _tests(certificate)]
    if certificate.greedy.mismatches:
        found.insert(1, _mismatches(certificate))
    return found


def say_verdict(certificate: Certificate) -> None:
    """The last lines: what speaks for it and against it, and the verdict."""
    for sentence in (*certificate.remarks(), *certificate.objections()):
        console.data(f"- {sentence}")
    kept = min(certificate.sampled.covered, default=1.0)
    console.data(
        f"{'lossless' if certificate.lossless else 'NOT lossless'}: {certificate.greedy.prompts} "
        f"prompts, {len(certificate.clips)} clips, {certificate.streams.answers} sampled answers, "
        f"{sum(test.first.draws for test in certificate.sampled.tests)} draws over tokens of at "
        f"least {kept:.2%} of the probability, {certificate.seconds:.0f} s"
    )


def _ways(certificate: Certificate) -> Table:
    """One row a drafter and length, both modes side by side."""
    modes, counts = certificate.options.modes, certificate.greedy.counts
    ways = sorted({way for _, way in counts}, key=lambda w: (w.name, w.gamma or 0))
    rows = []
    for way in ways:
        row = [way.name, str(way.gamma or "auto")]
        for exact in modes:
            count = counts.get((exact, way), Count())
            accepted = f"{count.accepted / count.drafted:.0%}" if count.drafted else "-"
            row += [str(count.answers), accepted, str(count.mismatches)]
        rows.append(row)
    header = ["drafter", "gamma"]
    for exact in modes:
        header += ["--exact answers" if exact else "answers", "accepted", "unequal"]
    prompts = certificate.greedy.prompts
    return Table(f"Greedy: {prompts} prompts, speculative against plain", header, rows)


def _mismatches(certificate: Certificate) -> Table:
    greedy = certificate.greedy
    rows = [
        [
            str(m.prompt),
            str(m.way),
            "yes" if m.exact else "no",
            str(m.position),
            "-" if m.margin is None else f"{m.margin:.4f}",
            "no" if m in greedy.wrong(m.exact) else "yes",
        ]
        for m in greedy.mismatches[:SHOWN]
    ]
    title = f"Greedy answers that are not plain decoding's ({len(greedy.mismatches)})"
    return Table(title, ["prompt", "drafter", "--exact", "token", "margin", "a tie"], rows)


def _tests(certificate: Certificate) -> Table:
    sampled = certificate.sampled
    rows = [
        [
            test.name,
            test.mode,
            str(test.contexts),
            f"{draws_for(test.contexts):,}",
            f"{test.first.draws:,}",
            str(test.first.freedom),
            f"{test.first.p:.3f}",
            "-" if test.again is None else f"{test.again.p:.2g}",
            "NO" if test in sampled.failed() else "yes",
        ]
        for test in sampled.tests
    ]
    title = (
        f"Temperature > 0: G-tests that find a total-variation distance of {DISTANCE} "
        f"with power {POWER} at {LEVEL:.0%}"
    )
    header = [
        "distribution",
        "mode",
        "contexts",
        "needed",
        "draws",
        "df",
        "p",
        "p again",
        "the target's",
    ]
    return Table(title, header, rows)


def case_table(cases: Sequence[Case]) -> Table:
    """The self-test."""
    rows = [
        [
            case.name,
            "broken" if case.broken else "whole",
            case.found_by or "nothing",
            "yes" if case.right else "NO",
        ]
        for case in cases
    ]
    title = "Self-test: loops broken on purpose, and the product"
    return Table(title, ["loop", "is", "found by", "as it should be"], rows)


def case_fields(cases: Sequence[Case], bundle: Bundle, options: CertifyOptions) -> dict[str, Any]:
    """The self-test's JSON document."""
    return {
        "self_test": "passed" if all(case.right for case in cases) else "failed",
        "bundle": bundle_facts(bundle),
        "engines": engine_hashes(bundle),
        "machine": machine_facts(Machine()),
        "seeds": {"all": options.seed},
        "cases": [
            {
                "loop": case.name,
                "broken": case.broken,
                "found_by": case.found_by,
                "right": case.right,
            }
            for case in cases
        ],
    }
