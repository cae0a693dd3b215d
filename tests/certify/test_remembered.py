"""Remembering engines say what the engines behind them say, however they are driven."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.fakes import prefill, tiny_decoder
from xsd_edge.certify.bench import Bench
from xsd_edge.certify.cut import Cut
from xsd_edge.certify.prompts import Prompt
from xsd_edge.certify.remembered import RememberedTarget
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.sampling import Sampling


@pytest.mark.parametrize("seed", range(5))
def test_a_remembered_target_is_the_target(seed: int) -> None:
    """Random passes and trims, against a decoder that has the whole prompt in its own cache."""
    real, direct = tiny_decoder(seed=seed)[0], tiny_decoder(seed=seed)[0]
    prefill(real)
    prefill(direct)
    base, every = real.offset, np.arange(12)
    target = RememberedTarget(real, every)
    table = np.random.default_rng(seed + 1).normal(size=(12, 8)).astype(np.float16)
    decoder = Decoder(target, real.info, table)
    rng = np.random.default_rng(seed)
    for _ in range(60):
        kept = int(rng.integers(0, decoder.offset + 1))
        decoder.trim(kept)
        direct.trim(base + kept)
        tokens = rng.integers(0, 3, rng.integers(1, 4)).tolist()  # few, so that paths come again
        if len(tokens) > direct.room:
            continue
        asked = int(rng.integers(1, len(tokens) + 1))
        seen = decoder.forward(decoder.embed(tokens), last=asked)
        expected = direct.forward(direct.embed(tokens), last=asked)
        np.testing.assert_allclose(seen.logits, expected.logits, rtol=1e-6)
        np.testing.assert_allclose(seen.hidden, expected.hidden, rtol=1e-6)
    assert target.passes < 60


def test_the_same_rows_are_asked_once() -> None:
    real, _ = tiny_decoder(seed=3)
    prefill(real)
    target = RememberedTarget(real, np.arange(12))
    table = np.random.default_rng(4).normal(size=(12, 8)).astype(np.float16)
    decoder = Decoder(target, real.info, table)
    for _ in range(10):
        decoder.trim(0)
        decoder.forward(decoder.embed([1, 2, 3]), last=3)
        decoder.trim(1)
        decoder.forward(decoder.embed([2]), last=1)
    assert target.passes == 1


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0), Sampling(0.7, top_p=0.8)])
def test_a_remembered_draft_head_draws_what_the_draft_head_draws(
    bench: Bench, prompts: list[Prompt], sampling: Sampling
) -> None:
    bench.show(prompts[0].clip)
    start = bench.ask(prompts[0].question).kept()
    vocabulary = np.arange(bench.session.manifest.target.vocabulary)
    remembered, real = Cut(bench, (vocabulary,)).head, bench.session.draft_head
    for seed in range(20):
        for head in (remembered, real):
            head.begin(bench.memory)
            head.observe(start.hidden, (*start.question[1:], 30 + seed % 3))
        one, other = (
            head.propose(4, sampling, np.random.default_rng(seed)) for head in (remembered, real)
        )
        assert one.tokens == other.tokens
        if one.weights is not None and other.weights is not None:
            np.testing.assert_array_equal(one.weights, other.weights)
        # A second round on what the first one left in the cache.
        for head in (remembered, real):
            head.observe(start.hidden[-2:], one.tokens[:2])
        again = [head.propose(3, sampling, np.random.default_rng(9)) for head in (remembered, real)]
        assert again[0].tokens == again[1].tokens


def test_a_cut_keeps_logits_embeddings_and_what_is_special(
    bench: Bench, prompts: list[Prompt]
) -> None:
    bench.show(prompts[0].clip)
    start = bench.ask(prompts[0].question).kept()
    info = bench.session.manifest.target
    cut = Cut(bench, ((40, 41), info.masked_tokens))
    assert [cut.tokens[i] for i in cut.decoder.info.end_tokens] == list(info.end_tokens)
    assert {int(cut.tokens[i]) for i in cut.decoder.info.masked_tokens} == set(info.masked_tokens)
    kept = cut.rows(start.logits)[0]
    allowed = ~np.isin(cut.tokens, info.masked_tokens)
    np.testing.assert_array_equal(kept[allowed], start.logits[0, cut.tokens[allowed]])
    assert np.isneginf(kept[~allowed]).all()
    with pytest.raises(AssertionError, match="not kept"):
        cut.indices([287])
