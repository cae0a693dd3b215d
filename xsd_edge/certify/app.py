"""`xsd-edge certify`: opens the bundle, makes every check, says what it found."""

from __future__ import annotations

from time import perf_counter

from xsd_edge import console
from xsd_edge.bundle import Bundle
from xsd_edge.certify.bench import Bench
from xsd_edge.certify.certificate import Certificate
from xsd_edge.certify.clips import clips_for
from xsd_edge.certify.contexts import next_tokens, small_answers, small_ways_for, turns_for
from xsd_edge.certify.draws import drawing
from xsd_edge.certify.greedy import Greedy
from xsd_edge.certify.options import CertifyOptions
from xsd_edge.certify.prompts import Prompt, prompts_of
from xsd_edge.certify.report import case_fields, case_table, say_verdict, tables
from xsd_edge.certify.sampled import Sampled
from xsd_edge.certify.self_test import self_test
from xsd_edge.certify.streams import MODES, Streams
from xsd_edge.certify.subject import PRODUCT
from xsd_edge.console import Steps

SMALL_ANSWERS = 1  # prompts whose whole answers are drawn
STREAMED = 16  # prompts of sampled answers through the real loop


def certify(options: CertifyOptions) -> bool:
    """Certify and report; is the bundle lossless here?"""
    bundle = Bundle(options.bundle)
    with console.progress() as steps:
        certificate = examine(bundle, options, steps)
    if options.json:
        console.data_json(certificate.to_dict(bundle), indent=1)
    else:
        for table in tables(certificate):
            console.table(table)
        say_verdict(certificate)
    return certificate.lossless


def certify_itself(options: CertifyOptions) -> bool:
    """Certify broken loops; was every one found, and the product not?"""
    bundle = Bundle(options.bundle)
    with console.progress() as steps:
        cases = self_test(Bench(bundle), options, steps)
    if options.json:
        console.data_json(case_fields(cases, bundle, options), indent=1)
    else:
        console.table(case_table(cases))
    return all(case.right for case in cases)


def examine(bundle: Bundle, options: CertifyOptions, steps: Steps) -> Certificate:
    """Every check on the bundle's own engines."""
    began = perf_counter()
    bench = Bench(bundle)
    count = -(-options.prompts // len(options.asked))
    clips = clips_for(bundle, options.cameras, options.seed, count)
    prompts = prompts_of(clips, options.asked, options.prompts)
    greedy = Greedy(bench, PRODUCT, options.modes, options.max_tokens, options.seed)
    for number, prompt in enumerate(prompts, 1):
        greedy.check(prompt)
        steps("greedy answers", number, len(prompts), {})
    exact = True in options.modes
    streams = Streams(bench, PRODUCT, exact, options.max_tokens, options.seed)
    streamed = _spread(prompts, STREAMED)
    for number, prompt in enumerate(streamed, 1):
        streams.check(prompt)
        steps("sampled answers", number, len(streamed), {})
    hints, info = greedy.findings.hints, bundle.manifest.drafter
    with drawing(bench) as draws:
        sampled = Sampled(
            draws, PRODUCT, MODES, options.seed, lambda done, all_: steps("draws", done, all_, {})
        )
        sampled.check(
            next_tokens(hints, options.contexts, turns_for(info)),
            small_answers(hints, SMALL_ANSWERS, small_ways_for(info)),
        )
    return Certificate(
        options,
        greedy.findings,
        streams.findings,
        sampled.findings,
        tuple(clip.name for clip in clips),
        perf_counter() - began,
    )


def _spread(prompts: list[Prompt], count: int) -> list[Prompt]:
    """Some of the prompts, evenly."""
    return prompts[:: max(1, len(prompts) // count)][:count]
