"""`--self-test`: would this certificate have noticed? Broken loops that must be found, and the
product that must not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xsd_edge.certify.bench import Bench
from xsd_edge.certify.broken import BROKEN
from xsd_edge.certify.clips import clips_for
from xsd_edge.certify.contexts import Turn, next_tokens
from xsd_edge.certify.draws import drawing_with
from xsd_edge.certify.greedy import Greedy, GreedyFindings
from xsd_edge.certify.options import CertifyOptions
from xsd_edge.certify.prompts import Prompt, prompts_of
from xsd_edge.certify.replay import Context
from xsd_edge.certify.sampled import Sampled
from xsd_edge.certify.streams import Streams
from xsd_edge.certify.subject import PRODUCT, Subject
from xsd_edge.certify.ways import NOISY, Way
from xsd_edge.console import Steps
from xsd_edge.runtime.sampling import Sampling

CLIPS = 3
MOST_CONTEXTS = 4  # two of them with the first turn
STREAMED = 4  # prompts
# Whatever the bundle's draft head is worth: the target is unsure, drafts stand about as often as
# they fall, top-p cuts much off, and behind one draft the bonus is the second token.
TURNS = (
    Turn(Way(NOISY, 1), Sampling(1.0), raised=True),
    Turn(Way(NOISY, 1), Sampling(1.0, top_p=0.5), raised=True),
    Turn(Way(NOISY, 2), Sampling(1.0), raised=True),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One loop, and what gave it away; None where nothing did."""

    name: str
    broken: bool
    found_by: str | None

    @property
    def right(self) -> bool:
        """Found if and only if broken."""
        return self.broken == (self.found_by is not None)


def self_test(bench: Bench, options: CertifyOptions, steps: Steps) -> list[Case]:
    """Every broken loop, and the product itself, under the certificate's own checks."""
    clips = clips_for(bench.bundle, options.cameras, options.seed, CLIPS)
    prompts = prompts_of(clips, options.asked, CLIPS * len(options.asked))
    hints = _greedy(bench, PRODUCT, prompts, options).hints
    contexts = next_tokens(hints, MOST_CONTEXTS, TURNS)
    cases: list[Case] = []
    subjects = (PRODUCT, *BROKEN)
    for subject in subjects:
        found = examine(bench, subject, prompts, contexts, options)
        cases.append(Case(subject.name, subject is not PRODUCT, found))
        steps("self-test", len(cases), len(subjects), {})
    return cases


def examine(
    bench: Bench,
    subject: Subject,
    prompts: Sequence[Prompt],
    contexts: Sequence[Context],
    options: CertifyOptions,
) -> str | None:
    """The first check that fails, as words; the cheap ones come first."""
    greedy = _greedy(bench, subject, prompts, options)
    if wrong := greedy.wrong(True):
        first = wrong[0]
        return f"greedy answers: token {first.position} of prompt {first.prompt} ({first.way})"
    streams = Streams(bench, subject, True, options.max_tokens, options.seed)
    for prompt in prompts[:STREAMED]:
        streams.check(prompt)
    if streams.findings.rows.differing:
        return f"sampled answers: {streams.findings.rows.differing} rows are not the target's"
    if streams.findings.unmatched:
        return "sampled answers: exact match does not say what plain sampling says"
    sampled = Sampled(drawing_with(bench), subject, ("rejection",), options.seed)
    sampled.check(contexts, ())
    if failed := sampled.findings.failed():
        test = failed[0]
        assert test.again is not None
        return f"{test.name}, {test.mode}: p = {test.again.p:.2g} ({test.again.draws} draws)"
    return None


def _greedy(
    bench: Bench, subject: Subject, prompts: Sequence[Prompt], options: CertifyOptions
) -> GreedyFindings:
    """Padded answers up to the first that is wrong."""
    greedy = Greedy(bench, subject, (True,), options.max_tokens, options.seed)
    for prompt in prompts:
        greedy.check(prompt)
        if greedy.findings.wrong(True):
            break
    return greedy.findings
