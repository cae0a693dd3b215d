"""The generation loop on a tiny target whose every logit depends on the whole cache."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import TINY_BUNDLE
from tests.runtime.fakes import END, Guessing, Scripted, prefill, tiny_decoder
from xsd_edge.bundle import Bundle
from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.drafter import Drafter
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.loop import Limits, Round, generate, unended
from xsd_edge.runtime.planner import FixedLength, Planned
from xsd_edge.runtime.sampling import Sampling, distribution, mask, runs_of
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.verifier import GreedyVerifier, Proposal, verifier_for

GREEDY = Sampling()
UP_TO_40 = Limits(max_tokens=40)


def rounds(
    decoder: Decoder,
    drafter: Drafter | None = None,
    gamma: int = 5,
    limits: Limits = UP_TO_40,
    sampling: Sampling = GREEDY,
    mode: str = "rejection",
    seed: int = 0,
    early: Sequence[int] = (),
) -> list[Round]:
    start = prefill(decoder, early=early)
    judging, drawing = (np.random.default_rng((seed, i)) for i in range(2))
    verifier = verifier_for(sampling, mode, judging)
    drafts = FixedLength(drafter, gamma) if drafter is not None else None
    return list(generate(decoder, start, verifier, sampling, limits, drafts, drawing))


def said(found: list[Round]) -> list[int]:
    return [token for round_ in found for token in round_.tokens]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("gamma", [0, 1, 2, 5, 8])
def test_greedy_answer_is_plain_decodings_whatever_is_drafted(seed: int, gamma: int) -> None:
    decoder, _ = tiny_decoder(seed=seed)
    plain = said(rounds(decoder))
    assert said(rounds(decoder, Guessing(range(12), seed), gamma)) == plain
    half_right = [t if i % 3 else 1 for i, t in enumerate(plain)]
    found = rounds(decoder, Scripted(half_right), gamma)
    assert said(found) == plain
    if gamma > 1 and len(plain) > 8:
        assert len(found) < len(plain)  # some drafts did stand


def test_perfect_drafts_take_one_pass_for_gamma_plus_one_tokens() -> None:
    decoder, engine = tiny_decoder(seed=4)
    plain = said(rounds(decoder))
    engine.passes.clear()
    found = rounds(decoder, Scripted(plain), gamma=3)
    assert [len(r.tokens) for r in found[1:-1]] == [4] * (len(found) - 2)
    assert engine.passes[1:] == [r.drafted + 1 for r in found[1:]]


def test_trimmed_cache_equals_one_that_never_drafted() -> None:
    """After an answer full of rejected drafts, the next pass gives the same bits."""
    drafted, plain = tiny_decoder(seed=7)[0], tiny_decoder(seed=7)[0]
    limits = Limits(max_tokens=9)
    answer = said(rounds(drafted, Guessing(range(12), 3), 6, limits))
    assert said(rounds(plain, limits=limits)) == answer
    assert drafted.offset == plain.offset
    row = drafted.embed([4])
    np.testing.assert_array_equal(
        drafted.forward(row, last=1).logits, plain.forward(row, last=1).logits
    )


@pytest.mark.parametrize("right", [0, 1, 4, 6])
def test_an_early_draft_is_judged_in_the_questions_own_pass(right: int) -> None:
    decoder, engine = tiny_decoder(seed=4)
    plain = said(rounds(decoder))
    wrong = [(plain[right] + 1) % 12]
    engine.passes.clear()
    found = rounds(decoder, Scripted(plain), 3, early=[*plain[:right], *wrong, 1, 2])
    assert said(found) == plain
    assert (found[0].drafted, found[0].accepted) == (right + 3, right)
    assert engine.passes[0] == 3 + right + 3
    assert found[0].tokens == tuple(plain[: right + 1])


def test_an_early_draft_may_hold_the_whole_answer_and_more() -> None:
    decoder, plain = answer_that_ends(gamma=3)
    found = rounds(decoder, early=[*plain, 1, 2])
    assert [r.tokens for r in found] == [tuple(plain)]
    assert decoder.offset == 3 + len(plain) - 1


def test_a_limit_inside_an_early_draft_cuts_the_answer_there() -> None:
    decoder, _ = tiny_decoder(seed=4)
    plain = said(rounds(decoder))
    assert said(rounds(decoder, limits=Limits(max_tokens=3), early=plain[:6])) == plain[:3]


def answer_that_ends(gamma: int) -> tuple[Decoder, list[int]]:
    """A decoder whose greedy answer ends by itself after a few tokens."""
    for seed in range(200):
        decoder, _ = tiny_decoder(seed=seed, vocabulary=8)
        plain = said(rounds(decoder))
        if plain[-1] == END and gamma < len(plain) < 30:
            return decoder, plain
    raise AssertionError("no seed ends")


def test_end_inside_a_draft_ends_the_answer_there() -> None:
    decoder, plain = answer_that_ends(gamma=3)
    script = [*plain, 1, 2, 3, 4, 5]  # the draft goes on behind the end
    found = rounds(decoder, Scripted(script), gamma=len(plain) + 3)
    assert said(found) == plain
    # No row was spent on the end or what stands behind it: the target says the end by itself.
    assert found[-1].drafted == found[-1].accepted == len(found[-1].tokens) - 1
    assert decoder.offset == 3 + len(plain) - 1  # prompt and all emitted tokens but the last


def test_a_draft_that_was_drawn_is_submitted_with_its_end() -> None:
    """Kept back for what it says, it would change what is left to be drawn."""
    tokens = (3, END, 5)
    weights = np.full((3, 4), 0.25, np.float32)
    drawn = Proposal(tokens, weights, np.array([3, END, 5, 7]))
    assert unended(drawn, (END,)) is drawn
    assert unended(Proposal(tokens), (END,)) == Proposal((3,))
    assert unended(Proposal((END, 3)), (END,)).tokens == ()
    assert unended(Proposal((3, 5)), (END,)).tokens == (3, 5)


@pytest.mark.parametrize("limit", [1, 2, 5, 7])
def test_limit_inside_a_draft_cuts_the_answer_there(limit: int) -> None:
    decoder, _ = tiny_decoder(seed=4)
    plain = said(rounds(decoder))
    found = said(rounds(decoder, Scripted(plain), 8, Limits(max_tokens=limit)))
    assert found == plain[:limit]


def test_gamma_zero_is_plain_decoding() -> None:
    decoder, engine = tiny_decoder(seed=4)
    plain = said(rounds(decoder))
    engine.passes.clear()
    found = rounds(decoder, Scripted(plain), gamma=0)
    assert said(found) == plain
    assert sum(r.drafted for r in found) == 0
    assert set(engine.passes[1:]) == {1}


@pytest.mark.parametrize("gamma", [0, 3, 8])
def test_full_context_ends_the_answer_where_plain_decoding_ends(gamma: int) -> None:
    decoder = next(
        d
        for d in (tiny_decoder(seed=s, context=10)[0] for s in range(50))
        if END not in said(rounds(d))
    )
    plain = said(rounds(decoder))
    assert len(plain) == 10 - 3 + 1  # the last token needs no room
    assert said(rounds(decoder, Scripted(plain), gamma)) == plain
    assert decoder.room == 0


def test_exact_mode_never_runs_a_single_row() -> None:
    decoder, engine = tiny_decoder(seed=4)
    limits = Limits(max_tokens=40, exact=True)
    plain = said(rounds(decoder, limits=limits))
    assert said(rounds(decoder, Guessing(range(12), 1), 2, limits)) == plain
    assert min(engine.passes[1:]) == 2


def test_masked_tokens_are_never_said() -> None:
    for seed in range(8):
        free = said(rounds(tiny_decoder(seed=seed)[0]))
        masked = (free[0], free[1])
        decoder, _ = tiny_decoder(seed=seed, masked=masked)
        for sampling in (GREEDY, Sampling(1.0)):
            answer = said(rounds(decoder, Guessing(range(12), 1), 4, sampling=sampling))
            assert not set(answer) & set(masked)


def test_exact_match_says_what_plain_sampling_says() -> None:
    sampling = Sampling(temperature=1.0, top_p=0.9)
    for seed in range(10):
        decoder, _ = tiny_decoder(seed=seed, sharpness=1.0)
        plain = said(rounds(decoder, sampling=sampling, mode="exact-match", seed=seed))
        drafted = rounds(
            decoder, Guessing(range(12), seed), 4, sampling=sampling, mode="exact-match", seed=seed
        )
        assert said(drafted) == plain


@pytest.mark.parametrize(
    "sampling", [Sampling(1.0), Sampling(0.7, top_k=3), Sampling(1.3, top_p=0.8)]
)
@pytest.mark.parametrize("mode", ["rejection", "exact-match"])
@pytest.mark.parametrize("early", [(), (1, 3)])
def test_sampled_answers_have_the_targets_distribution(
    sampling: Sampling, mode: str, early: tuple[int, ...]
) -> None:
    """All three-token answers of the real loop, against the product of the target's own
    conditionals.
    """
    decoder, _ = tiny_decoder(seed=2, vocabulary=5, sharpness=0.8)
    exact = three_token_answers(decoder, sampling)
    drafter, limits = Guessing((1, 3, 4), 9), Limits(max_tokens=3)
    draws = 6_000
    counts = Counter(
        tuple(said(rounds(decoder, drafter, 2, limits, sampling, mode, i, early)))
        for i in range(draws)
    )
    assert set(counts) <= {answer for answer, p in exact.items() if p > 0}
    likely = {answer: p for answer, p in exact.items() if p * draws >= 5}
    rest = 1.0 - sum(likely.values())
    seen = [counts[answer] for answer in likely]
    expected = [p * draws for p in likely.values()]
    if rest * draws >= 5:
        seen.append(draws - sum(seen))
        expected.append(rest * draws)
    statistic = sum((s - e) ** 2 / e for s, e in zip(seen, expected, strict=True))
    freedom = len(expected) - 1
    assert statistic < freedom + 4.5 * (2 * freedom) ** 0.5  # about the 99.99 % quantile


def three_token_answers(decoder: Decoder, sampling: Sampling) -> dict[tuple[int, ...], float]:
    """The probability of every answer of up to three tokens, from single plain passes."""
    forbidden = runs_of(decoder.info.masked_tokens)

    def after(tokens: tuple[int, ...]) -> np.ndarray:
        start = prefill(decoder)
        logits = start.logits
        if tokens:
            logits = decoder.forward(decoder.embed(tokens), last=1).logits
        mask(logits, forbidden)
        return distribution(logits[0], sampling).astype(np.float64)

    found: dict[tuple[int, ...], float] = {}
    first = after(())
    for a in np.flatnonzero(first):
        if a == END:
            found[(END,)] = first[a]
            continue
        second = after((int(a),))
        for b in np.flatnonzero(second):
            if b == END:
                found[(int(a), END)] = first[a] * second[b]
                continue
            third = after((int(a), int(b)))
            for c in np.flatnonzero(third):
                found[(int(a), int(b), int(c))] = first[a] * second[b] * third[c]
    assert abs(sum(found.values()) - 1) < 1e-5
    return found


def test_three_token_answers_covers_all(capsys: pytest.CaptureFixture[str]) -> None:
    decoder, _ = tiny_decoder(seed=2, vocabulary=5, sharpness=0.8)
    found = three_token_answers(decoder, Sampling(1.0))
    whole = [t for t in product(range(5), repeat=3) if END not in t[:2]]
    assert {a for a in found if len(a) == 3} == set(whole)


def taken(session: Session, drafter: Drafter) -> NDArray[np.int64]:
    """Bytes that Python and NumPy have at most in each round, of what was new since the first."""
    drafter.begin(session.silence())
    start = session.ask("Describe the scene.")
    limits = Limits(max_tokens=120)
    rounds = generate(session.decoder, start, GreedyVerifier(), GREEDY, limits, drafter)
    next(rounds)
    count, peaks = 0, np.zeros(limits.max_tokens, np.int64)  # a list of them would grow, too
    tracemalloc.start()
    try:
        for count, _ in enumerate(rounds, 1):
            peaks[count - 1] = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
    finally:
        tracemalloc.stop()
    return peaks[:count]


@pytest.fixture
def no_collections() -> Iterator[None]:
    """One would empty Python's lists of freed objects, and what then takes their place is new."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
def test_no_memory_grows_with_the_answer() -> None:
    """Real engines; a tiny pair's drafts hardly ever stand, so an answer takes many rounds."""
    session = Session(Bundle(TINY_BUNDLE))
    session.decoder.info = replace(session.decoder.info, end_tokens=())
    free = Costs(0.0, (1.0,) * 9, 0.1)
    every = Planned(session.draft_head, Lookup(), session.predictor, free)
    for drafter in (FixedLength(session.draft_head, 3), every):
        for _ in range(3):
            taken(session, drafter)  # what is made once is made here
        found = taken(session, drafter)
        assert len(found) > 40
        assert found[-20:-10].max() <= found[8:-20].max()
