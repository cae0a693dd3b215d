"""Draws from the real loop on remembered logits of the tiny bundle."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from xsd_edge.bundle import Bundle
from xsd_edge.certify import g_test
from xsd_edge.certify.bench import Bench
from xsd_edge.certify.broken import BROKEN
from xsd_edge.certify.contexts import Turn, next_tokens, small_answers
from xsd_edge.certify.draws import (
    MOST_PROCESSES,
    Task,
    _processes,
    binned,
    drawing,
    drawing_with,
)
from xsd_edge.certify.g_test import Found, g_of
from xsd_edge.certify.greedy import Greedy, Hint
from xsd_edge.certify.prompts import Prompt
from xsd_edge.certify.replay import Context, Replay, temperature_of
from xsd_edge.certify.sampled import Sampled, SampledFindings, Test
from xsd_edge.certify.subject import PRODUCT, Subject
from xsd_edge.certify.ways import Way
from xsd_edge.errors import DeviceError
from xsd_edge.runtime.sampling import Sampling, distribution, mask, runs_of
from xsd_edge.runtime.verifier import Verifier

BY_NAME = {subject.name: subject for subject in BROKEN}


@pytest.fixture(scope="session")
def hints(bench: Bench, prompts: list[Prompt]) -> list[Hint]:
    greedy = Greedy(bench, PRODUCT, (True,), 10, 0)
    for prompt in prompts:
        greedy.check(prompt)
    return greedy.findings.hints


def context(hint: Hint, way: Way, sampling: Sampling, prefix: int = 3) -> Context:
    return Context(hint.prompt, hint.tokens[:prefix], hint.tokens, hint.likely, way, sampling)


def test_the_reference_is_the_targets_own_distribution(bench: Bench, hints: list[Hint]) -> None:
    """Against one pass of the real decoder over prompt and prefix."""
    hint, sampling = hints[1], Sampling(0.9, top_k=5)
    replay = Replay(bench, context(hint, Way("draft head", 2), sampling), 0)
    found = replay.reference(1, 0.0)
    start, real = bench.ask(hint.prompt.question), bench.session.decoder
    logits = real.forward(real.embed(hint.tokens[:3]), last=1).logits.copy()
    mask(logits, runs_of(real.info.masked_tokens))
    p = distribution(logits[0], sampling)
    assert len(start.question) > 1
    for (token,), mass in found.items():
        assert mass == pytest.approx(float(p[replay.cut.tokens[token]]), rel=1e-6)
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-6)
    assert sum(replay.reference(2, 0.0).values()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("mode", ["rejection", "exact-match"])
@pytest.mark.parametrize(
    "way", [Way("draft head", 3), Way("noisy target", 2), Way("lookup", 2), Way("early draft", 2)]
)
def test_the_loop_draws_the_reference(bench: Bench, hints: list[Hint], way: Way, mode: str) -> None:
    prefix = 0 if way.name == "early draft" else 3
    chosen = context(hints[0], way, Sampling(1.0, top_k=4), prefix)
    replay = Replay(bench, chosen, 0)
    p = replay.reference(2, 0.01)
    drawn = Counter(replay.draws(PRODUCT, mode, 2, 3000, np.random.default_rng(1)))
    assert sum(drawn.values()) == 3000
    found = g_of(binned(drawn, p), p, np.zeros(len(p)))
    assert found.p > 1e-4


def test_a_broken_loop_does_not(bench: Bench, hints: list[Hint]) -> None:
    replay = Replay(bench, context(hints[0], Way("draft head", 1), Sampling(1.0)), 0)
    p, lean = replay.reference(1, 0.0), replay.lean()
    subject = BY_NAME["accept always"]
    drawn = Counter(replay.draws(subject, "rejection", 1, 3000, np.random.default_rng(1)))
    assert g_of(binned(drawn, p), p, [lean[o[0]] for o in p]).p < 1e-6


def test_a_raised_temperature_makes_the_target_unsure() -> None:
    logits = np.array([[4.0, 1.0, 0.0, -2.0, -np.inf]], np.float32)
    hot = temperature_of(logits, 0.4)
    assert distribution(logits[0], Sampling(hot)).max() == pytest.approx(0.4, abs=0.001)


def test_binned_cuts_outcomes_off_where_the_reference_ends() -> None:
    p = {(1,): 0.5, (2, 3): 0.3, (2, 4): 0.2}
    drawn = {(1, 7): 3, (1,): 2, (2, 3): 4, (9, 9): 1}
    assert binned(drawn, p) == {(1,): 5, (2, 3): 4, (9, 9): 1}


def test_contexts_are_of_different_prompts_and_unsure(hints: list[Hint]) -> None:
    found = next_tokens(hints, 3)
    assert len({c.prompt.number for c in found}) == 3
    for one in found:
        assert 1 <= len(one.prefix) < len(one.answer)
        assert one.answer[: len(one.prefix)] == one.prefix
    assert [c.prefix for c in small_answers(hints, 2)] == [(), ()]


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that find a distance of 0.1: a twenty-fifth of the draws."""
    monkeypatch.setattr(g_test, "DISTANCE", 0.1)


@pytest.mark.slow
@pytest.mark.usefixtures("coarse")
def test_the_product_passes_both_modes(bench: Bench, hints: list[Hint]) -> None:
    checked = Sampled(drawing_with(bench), PRODUCT, ("rejection", "exact-match"), 0)
    checked.check(next_tokens(hints, 2), small_answers(hints, 1))
    found = checked.findings
    assert [(t.name, t.mode) for t in found.tests] == [
        (name, mode)
        for names in (("next token", "next two tokens"), ("whole answer",))
        for mode in ("rejection", "exact-match")
        for name in names
    ]
    assert not found.failed()
    assert all(test.first.draws >= g_test.draws_for(test.contexts) for test in found.tests)
    assert min(found.covered) > 0.5
    assert found.passes > 0


@pytest.mark.parametrize(
    "name",
    ["residual from p instead of p - q", "q taken before top-p", "a dropped draft"],
)
def test_what_greedy_answers_cannot_show_is_found(
    bench: Bench, hints: list[Hint], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(g_test, "DISTANCE", 0.05)
    checked = Sampled(drawing_with(bench), BY_NAME[name], ("rejection",), 0)
    turns = (
        Turn(Way("noisy target", 1), Sampling(1.0, top_p=0.5), raised=True),
        Turn(Way("noisy target", 2), Sampling(1.0), raised=True),
    )
    checked.check(next_tokens(hints, 2, turns), ())
    failed = checked.findings.failed()
    assert failed
    assert failed[0].again is not None
    assert failed[0].again.draws > failed[0].first.draws  # a stricter level needs more


def test_only_what_fails_twice_fails() -> None:
    wrong, right = Found(80.0, 8, 1000), Found(8.0, 8, 1000)
    tests = [Test("next token", "rejection", 3, wrong, again) for again in (right, wrong)]
    found = SampledFindings([*tests, Test("whole answer", "rejection", 3, right)])
    assert found.level == pytest.approx(g_test.LEVEL / 3)
    assert [test.flagged for test in found.tests] == [True, True, False]
    assert found.failed() == [tests[1]]


def test_several_processes_draw_what_one_does(bench: Bench, hints: list[Hint]) -> None:
    """Engines of one thread, in two spawned processes; the draws are seeded by context."""
    contexts = next_tokens(hints, 2, (Turn(Way("draft head", 2), Sampling(1.0, top_k=4)),))
    tasks = [
        Task(context, PRODUCT, ("rejection", "exact-match"), (1, 2), 300, (0, 0, number))
        for number, context in enumerate(contexts)
    ]
    assert 1 <= _processes(bench.bundle) <= MOST_PROCESSES
    with drawing(bench) as side_by_side:
        found = list(side_by_side(tasks))
    assert found == list(drawing_with(bench)(tasks))


def die(*_: object) -> Verifier:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def test_a_process_that_is_killed_is_reported(bench: Bench, hints: list[Hint]) -> None:
    """As where memory runs out; nobody waits for it."""
    if _processes(bench.bundle) < 2:
        pytest.skip("one core, one process")
    chosen = context(hints[0], Way("draft head", 2), Sampling(1.0))
    task = Task(chosen, Subject("dies", verifier=die), ("rejection",), (1,), 10, (0, 0, 0))
    with pytest.raises(DeviceError, match="ended from outside"), drawing(bench) as draws:
        list(draws([task]))


def test_engines_on_a_graphics_processor_are_not_opened_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = bench.bundle.manifest
    parts = {n: replace(p, backend="cuda") for n, p in manifest.parts.items()}
    bundle = Bundle(bench.bundle.folder)
    monkeypatch.setitem(bundle.__dict__, "manifest", replace(manifest, parts=parts))
    assert _processes(bundle) == 1
