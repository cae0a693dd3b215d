"""A tiny language model behind the engine contract, and drafters that a test tells what to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import TargetInfo
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.engine import Arrays
from xsd_edge.runtime.loop import Prefilled
from xsd_edge.runtime.sampling import Sampling, distribution, pick
from xsd_edge.runtime.verifier import Proposal

WIDTH = 8
END = 0


def target_info(
    vocabulary: int = 12, context: int = 64, masked: tuple[int, ...] = ()
) -> TargetInfo:
    return TargetInfo(
        layers=1,
        kv_heads=1,
        head_width=WIDTH,
        hidden=WIDTH,
        vocabulary=vocabulary,
        context=context,
        end_tokens=(END,),
        masked_tokens=masked,
        cache_dtype="float32",
    )


class TinyTarget:
    """Logits depend on every token in the cache, so that one stale or missing row changes what is
    said.

    Like the real graph it keeps rows in a held cache, learns the past's length from the attention
    mask, and returns logits for asked rows only.
    """

    def __init__(self, vocabulary: int, seed: int = 0, sharpness: float = 3.0) -> None:
        rng = np.random.default_rng(seed)
        self._head = rng.normal(size=(WIDTH, vocabulary)).astype(np.float32) * np.float32(sharpness)
        self._mix = rng.normal(size=(WIDTH, WIDTH)).astype(np.float32)
        self._cache = np.zeros((0, WIDTH), np.float32)
        self.passes: list[int] = []  # rows of each

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        self._cache = np.full((shape[2], WIDTH), np.nan, np.float32)

    def run(self, feeds: Arrays, results: Arrays) -> None:
        rows = feeds["inputs_embeds"][0]
        stop = feeds["attention_mask"].shape[1]
        start = stop - len(rows)
        self._cache[start:stop] = rows
        self.passes.append(len(rows))
        for row in range(len(rows)):
            results["hidden_states"][0, row] = self._state(start + row + 1)
        states = results["hidden_states"][0, feeds["rows"]]
        for place, state in enumerate(states):  # of all at once, sums depend on how many there are
            results["logits"][0, place] = state @ self._head

    def _state(self, length: int) -> NDArray[np.float32]:
        ages = np.arange(length, dtype=np.float32)[::-1]
        recent = self._cache[:length] * np.float32(0.7) ** ages[:, None]
        return np.tanh(recent.sum(0) @ self._mix)  # type: ignore[no-any-return]

    def close(self) -> None:
        pass


def tiny_decoder(
    vocabulary: int = 12,
    context: int = 64,
    seed: int = 0,
    masked: tuple[int, ...] = (),
    sharpness: float = 3.0,
) -> tuple[Decoder, TinyTarget]:
    engine = TinyTarget(vocabulary, seed, sharpness)
    table = np.random.default_rng(seed + 1).normal(size=(vocabulary, WIDTH)).astype(np.float16)
    return Decoder(engine, target_info(vocabulary, context, masked), table, padding=2), engine


def prefill(
    decoder: Decoder, question: Sequence[int] = (3, 1, 2), early: Sequence[int] = ()
) -> Prefilled:
    decoder.trim(0)
    rows = decoder.embed((*question, *early))
    logits, hidden = decoder.prefill(rows, last=1 + len(early))
    return Prefilled(logits, hidden, tuple(question), Proposal(tuple(early)))


class Scripted:
    """Proposes the next tokens of a script, as a deterministic proposal."""

    def __init__(self, script: Sequence[int]) -> None:
        self._script, self._at = list(script), 0
        self.observed: list[int] = []

    def begin(self, memory: EventMemory) -> None:
        self._at = 0

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        assert len(hidden) == len(following)
        self.observed += following

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        # What was emitted since the question tells where in the script the answer stands.
        said = len(self.observed) - QUESTION_ROWS
        return Proposal(tuple(self._script[said : said + gamma]))


QUESTION_ROWS = 2  # observed tokens of a three-token question that are not the answer's


class Guessing:
    """Draws each token from a fixed q over part of the vocabulary; greedy proposals are uniform
    garbage.
    """

    def __init__(self, support: Sequence[int], seed: int = 0) -> None:
        self._support = np.array(support, np.int64)
        self._logits = np.random.default_rng(seed).normal(size=len(support)).astype(np.float32)

    def begin(self, memory: EventMemory) -> None:
        pass

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        assert len(hidden) == len(following)

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        if sampling.greedy:
            return Proposal(tuple(int(t) for t in rng.choice(self._support, gamma)))
        q = distribution(self._logits, sampling)
        drawn = tuple(int(self._support[pick(q, rng.random())]) for _ in range(gamma))
        return Proposal(drawn, np.repeat(q[None], gamma, 0), self._support)
