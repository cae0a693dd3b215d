"""The certificate: what was asked, what was found, and whether that is lossless."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from math import isfinite
from typing import Any

from xsd_edge.bundle import Bundle, sha256_of
from xsd_edge.certify.g_test import DISTANCE, LEVEL, POWER, draws_for
from xsd_edge.certify.greedy import GreedyFindings, Mismatch
from xsd_edge.certify.options import CertifyOptions
from xsd_edge.certify.plain import Rounding
from xsd_edge.certify.sampled import SampledFindings, Test
from xsd_edge.certify.streams import StreamFindings
from xsd_edge.machine import Machine
from xsd_edge.profiling.facts import bundle_facts, machine_facts
from xsd_edge.runtime.engine_store import choose

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Certificate:
    """Everything that was found; the verdict follows from it alone."""

    options: CertifyOptions
    greedy: GreedyFindings
    streams: StreamFindings
    sampled: SampledFindings
    clips: tuple[str, ...]
    seconds: float

    @property
    def lossless(self) -> bool:
        return not self.objections()

    def objections(self) -> list[str]:
        """All that speaks against it, one sentence each."""
        return [*self._greedy_objections(), *self._stream_objections(), *self._sampled_objections()]

    def remarks(self) -> list[str]:
        """What was found and may be so, one sentence each."""
        said: list[str] = []
        answers = {
            exact: sum(c.answers for (mode, _), c in self.greedy.counts.items() if mode == exact)
            for exact in self.options.modes
        }
        if True in answers and not self.greedy.wrong(True):
            said.append(f"with --exact all {answers[True]} greedy answers equal plain decoding")
        if False in answers and not self.greedy.wrong(False):
            ties, rounding = self.greedy.ties(), self.greedy.rounding[False]
            same = answers[False] - len(ties)
            equal = (
                f"without --exact {same} of {answers[False]} greedy answers equal plain decoding"
            )
            if ties:
                equal += (
                    f"; the {len(ties)} others part from it at ties: the tie margin, the largest "
                    f"top-2 margin of plain logits there, is {self.greedy.tie_margin:.3g}, and "
                    f"rounding moves margins by up to {rounding.moved:.3g}"
                )
            said.append(equal)
        tests = self.sampled.tests
        if tests and not self.sampled.failed():
            said.append(
                f"at temperature > 0 none of {len(tests)} tests tells the loop from the target "
                f"(each would find a distance of {DISTANCE} with power {POWER})"
            )
        return said

    def _greedy_objections(self) -> list[str]:
        said: list[str] = []
        for exact in self.options.modes:
            name = "with --exact" if exact else "without --exact"
            if wrong := self.greedy.wrong(exact):
                said.append(f"{name} {len(wrong)} greedy answers are not plain decoding's")
            rounding = self.greedy.rounding[exact]
            if exact and rounding.differing:
                said.append(
                    f"{name} {rounding.differing} of {rounding.rows} plain rows differ from a long "
                    "pass's: on these engines a row depends on how many share its pass"
                )
        return said

    def _stream_objections(self) -> list[str]:
        rows, said = self.streams.rows, list[str]()
        allowed = 0.0 if True in self.options.modes else 2 * self.greedy.rounding[False].largest
        if rows.largest > allowed:
            said.append(
                f"{rows.differing} of {rows.rows} rows that chose sampled tokens are not the "
                f"target's own (they differ by up to {rows.largest:.3g})"
            )
        if self.streams.unmatched and True in self.options.modes:
            said.append(
                f"{len(self.streams.unmatched)} of {self.streams.matched} answers in exact-match "
                "mode are not plain sampling's"
            )
        return said

    def _sampled_objections(self) -> list[str]:
        return [
            f"{test.name}, {test.mode}: not the target's distribution, p = {test.again.p:.2g} in "
            f"{test.again.draws} fresh draws"
            for test in self.sampled.failed()
            if test.again is not None
        ]

    def to_dict(self, bundle: Bundle) -> dict[str, Any]:
        """The JSON document."""
        options = self.options
        return {
            "format": FORMAT,
            "verdict": "lossless" if self.lossless else "not lossless",
            "lossless": self.lossless,
            "objections": self.objections(),
            "remarks": self.remarks(),
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "bundle": bundle_facts(bundle),
            "engines": engine_hashes(bundle),
            "machine": machine_facts(Machine()),
            "seeds": {"all": options.seed},
            "asked": {
                "prompts": options.prompts,
                "questions": options.asked,
                "clips": self.clips,
                "exact": options.modes,
                "contexts": options.contexts,
                "max_tokens": options.max_tokens,
            },
            "greedy": _greedy_fields(self.greedy, options.modes),
            "sampled_answers": {
                "answers": self.streams.answers,
                "tokens": self.streams.tokens,
                "rows": _rounding_fields(self.streams.rows),
                "exact_match": self.streams.matched,
                "exact_match_unequal": self.streams.unmatched,
            },
            "distributions": _sampled_fields(self.sampled),
        }


def engine_hashes(bundle: Bundle) -> dict[str, dict[str, str]]:
    """sha256 of every file that a part's engine is made of here, by path; plans of `build` too."""
    found: dict[str, dict[str, str]] = {}
    for name, part in sorted(bundle.manifest.parts.items()):
        entries = (part.files[part.default], *part.attachments)
        found[name] = {entry.path: entry.sha256 for entry in entries}
        plan = choose(bundle, name).plan if part.backend == "tensorrt" else None
        if plan is not None:
            found[name][plan.name] = sha256_of(plan)
    return found


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return value if isfinite(value) else None


def _rounding_fields(rounding: Rounding) -> dict[str, Any]:
    return {
        "rows": rounding.rows,
        "differing": rounding.differing,
        "largest_logit_difference": _number(rounding.largest),
        "largest_margin_change": _number(rounding.moved),
        "largest_distance": rounding.distance,
    }


def _greedy_fields(greedy: GreedyFindings, modes: tuple[bool, ...]) -> dict[str, Any]:
    return {
        "prompts": greedy.prompts,
        "ways": [
            {"drafter": way.name, "gamma": way.gamma or "auto", "exact": exact, **asdict(count)}
            for (exact, way), count in sorted(
                greedy.counts.items(), key=lambda i: (not i[0][0], i[0][1].name, i[0][1].gamma or 0)
            )
        ],
        "mismatches": [_mismatch_fields(found, greedy) for found in greedy.mismatches],
        "rounding": {
            "exact" if exact else "not_exact": _rounding_fields(greedy.rounding[exact])
            for exact in modes
        },
        "tie_margin": greedy.tie_margin,
    }


def _mismatch_fields(found: Mismatch, greedy: GreedyFindings) -> dict[str, Any]:
    return {
        "prompt": found.prompt,
        "clip": found.clip,
        "question": found.question,
        "drafter": found.way.name,
        "gamma": found.way.gamma or "auto",
        "exact": found.exact,
        "position": found.position,
        "margin": found.margin,
        "tie": found not in greedy.wrong(found.exact),
        "plain": found.plain,
        "speculative": found.said,
    }


def _sampled_fields(sampled: SampledFindings) -> dict[str, Any]:
    return {
        "distance": DISTANCE,
        "power": POWER,
        "level": LEVEL,
        "level_of_repetition": sampled.level,
        "least_mass_kept": min(sampled.covered, default=None),
        "tests": [_test_fields(test, sampled) for test in sampled.tests],
    }


def _test_fields(test: Test, sampled: SampledFindings) -> dict[str, Any]:
    return {
        "test": test.name,
        "mode": test.mode,
        "contexts": test.contexts,
        "draws_needed": draws_for(test.contexts),
        "draws": test.first.draws,
        "degrees_of_freedom": test.first.freedom,
        "g": _number(test.first.g),
        "p": test.first.p,
        "flagged": test.flagged,
        "again": None if test.again is None else {"draws": test.again.draws, "p": test.again.p},
        "failed": test in sampled.failed(),
    }
