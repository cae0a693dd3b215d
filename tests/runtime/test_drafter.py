"""The draft head at run time against the module as it is trained: same rows, same drafts."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.heads import DRAFTED, GAMMA, INFO, VOCABULARY, WIDTH, SmallHead
from xsd_edge.runtime.drafter import DraftHead, EventMemory
from xsd_edge.runtime.hosted_head import HostedHead, cached
from xsd_edge.runtime.sampling import Sampling, distribution

pytestmark = pytest.mark.host


@pytest.fixture(scope="module", params=["cached", "hosted"])
def pair(small: SmallHead, request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]  # torch types
    """The torch drafter, its head on either kind of engine, and an embedding table."""
    engine = cached(small.plain, small.plain_part, DRAFTED)
    assert isinstance(engine, HostedHead)
    chosen = small.cached if request.param == "cached" else engine
    return small.drafter, DraftHead(chosen, INFO, small.table, DRAFTED), small.table


@pytest.fixture
def answer() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events, hidden states of 14 rows, and the tokens that follow them."""
    rng = np.random.default_rng(2)
    counts = rng.poisson(0.3, (1, 4, 16, 16)).astype(np.float32)
    hidden = rng.normal(size=(14, WIDTH)).astype(np.float32)
    return counts, hidden, rng.integers(0, VOCABULARY, 14)


def trained_drafts(drafter, table, counts, hidden, following, start: int) -> list[int]:  # type: ignore[no-untyped-def]
    """Greedy drafts from row `start` on by the training code, one more depth at a time."""
    import torch

    from xsd_edge.training.drafter import DraftBatch, unrolled

    tokens = np.zeros(start + GAMMA, np.int64)
    tokens[: start + 1] = following[: start + 1]
    states = np.zeros((start + GAMMA, WIDTH), np.float32)
    states[: start + 1] = hidden[: start + 1]
    drafts: list[int] = []
    for depth in range(GAMMA):
        batch = DraftBatch(
            torch.from_numpy(counts),
            torch.from_numpy(tokens)[None],
            torch.from_numpy(states)[None],
            torch.zeros(1),
            torch.zeros(1),
        )
        with torch.no_grad():
            *_, step = unrolled(drafter, batch, torch.from_numpy(table).float(), depth + 1)
        drafts.append(int(DRAFTED[int(step.logits[0, start + depth].argmax())]))
        if depth + 1 < GAMMA:
            tokens[start + depth + 1] = drafts[-1]
    return drafts


def memory_of(drafter, counts: np.ndarray) -> EventMemory:  # type: ignore[no-untyped-def]
    import torch

    with torch.no_grad():
        aligned = drafter.alignment(drafter.encoder(torch.from_numpy(counts)))
        keys, values = drafter.memory(aligned)
    return EventMemory(
        counts,
        aligned.numpy(),
        np.ascontiguousarray(keys.numpy()),
        np.ascontiguousarray(values.numpy()),
    )


@pytest.mark.parametrize("cuts", [(6,), (6, 7, 11), (1, 2, 3, 4, 9)])
def test_drafts_what_training_saw(pair, answer, cuts: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
    """Whatever rounds the rows arrived in, drafts discarded in between leave no trace."""
    drafter, head, table = pair
    counts, hidden, following = answer
    head.begin(memory_of(drafter, counts))
    before = 0
    for cut in cuts:
        head.observe(hidden[before:cut], following[before:cut].tolist())
        drawn = head.propose(GAMMA, Sampling(), np.random.default_rng(0))
        assert list(drawn.tokens) == trained_drafts(
            drafter, table, counts, hidden, following, cut - 1
        )
        before = cut


def test_each_answer_drafts_from_its_own_clips_events(pair, answer) -> None:  # type: ignore[no-untyped-def]
    """Steps are made ready once, for every clip; one with no event in it, too."""
    drafter, head, table = pair
    counts, hidden, following = answer
    for factor in (1, 40, 0, 1):
        seen = np.float32(factor) * counts
        head.begin(memory_of(drafter, seen))
        head.observe(hidden[:6], following[:6].tolist())
        drawn = head.propose(GAMMA, Sampling(), np.random.default_rng(0))
        assert list(drawn.tokens) == trained_drafts(drafter, table, seen, hidden, following, 5)


def test_rows_observed_without_drafting_are_caught_up_later(pair, answer) -> None:  # type: ignore[no-untyped-def]
    drafter, head, _ = pair
    counts, hidden, following = answer
    rng = np.random.default_rng(0)
    memory = memory_of(drafter, counts)
    head.begin(memory)
    head.observe(hidden[:9], following[:9].tolist())
    whole = head.propose(3, Sampling(), rng)
    head.begin(memory)
    for row in range(9):
        head.observe(hidden[row : row + 1], following[row : row + 1].tolist())
    assert head.propose(3, Sampling(), rng).tokens == whole.tokens


def test_sampled_drafts_come_from_the_q_they_carry(pair, answer) -> None:  # type: ignore[no-untyped-def]
    drafter, head, _ = pair
    counts, hidden, following = answer
    sampling, rng = Sampling(0.8, top_p=0.9), np.random.default_rng(3)
    memory = memory_of(drafter, counts)
    seen = np.zeros(len(DRAFTED))
    for _ in range(400):
        head.begin(memory)
        head.observe(hidden[:5], following[:5].tolist())
        drawn = head.propose(1, sampling, rng)
        assert drawn.weights is not None
        seen[np.flatnonzero(drawn.tokens[0] == DRAFTED)[0]] += 1
    assert seen[drawn.weights[0] == 0].sum() == 0
    assert np.abs(seen / 400 - drawn.weights[0]).max() < 0.12
    np.testing.assert_allclose(drawn.weights[0].sum(), 1, rtol=1e-5)
    assert distribution(np.zeros(4, np.float32), sampling).sum() == pytest.approx(1)


def test_proposes_nothing_when_its_context_is_full(pair, answer) -> None:  # type: ignore[no-untyped-def]
    drafter, head, _ = pair
    counts, hidden, following = answer
    head.begin(memory_of(drafter, counts))
    rng = np.random.default_rng(0)
    for size in (14, 14, 3):
        head.observe(hidden[:size], following[:size].tolist())
    assert len(head.propose(5, Sampling(), rng).tokens) == 2  # 31 rows of 32 are taken
    head.observe(hidden[:2], following[:2].tolist())
    assert head.propose(5, Sampling(), rng).tokens == ()
    head.observe(hidden[:1], following[:1].tolist())
    assert head.propose(5, Sampling(), rng).tokens == ()
