"""The draft head at run time: its own small cache, catch-up on verified rows, then gamma steps on
its own features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import DrafterInfo
from xsd_edge.runtime.engine import Array, Engine, prepared
from xsd_edge.runtime.sampling import Sampling, distribution, pick
from xsd_edge.runtime.verifier import NOTHING, Proposal

MASKED = np.float32(-1e4)


class EventMemory(NamedTuple):
    """A clip's events as the drafter reads them, made once per clip; E is 0 where there is none."""

    counts: NDArray[np.float32]  # [1, 2 * bins, side, side]
    aligned: NDArray[np.float32]  # [1, E, D]
    keys: NDArray[np.float32]  # [1, heads, E, dh]
    values: NDArray[np.float32]  # [1, heads, E, dh]


class Drafter(Protocol):
    """Proposes what the target will say. What it has drawn is always submitted, never redrawn."""

    def begin(self, memory: EventMemory) -> None:
        """Forget the last answer; the next one is about this clip."""

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        """The target's hidden states [n, D] of new rows, and the token that follows each."""

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        """Up to `gamma` tokens behind the last observed one; fewer, or none, when the drafter has
        no room.
        """


class NoHead:
    """In the draft head's place where nobody has trained one: drafts nothing."""

    def begin(self, memory: EventMemory) -> None:
        pass

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        pass

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        return NOTHING


class DraftHead:
    """EAGLE's recurrence (Li et al. 2024, arXiv 2401.15077) on the exported draft head.

    Row i of the cache is (token i+1, the target's hidden state at i). Rows drafted on the head's
    own features are scratch: the next `propose` overwrites them with verified ones.
    """

    def __init__(
        self,
        engine: Engine,
        info: DrafterInfo,
        embedding: NDArray[np.float16],
        vocabulary: NDArray[np.int64],
    ) -> None:
        self._engine, self._info = engine, info
        self._embedding, self._vocabulary = embedding, vocabulary
        self._tokens: list[int] = vocabulary.tolist()
        width = embedding.shape[1]
        rows, cache = info.context, (1, info.context, info.heads, info.head_width)
        self._keys, self._values = np.zeros(cache, np.float32), np.zeros(cache, np.float32)
        self._embeddings = np.zeros((1, rows, width), np.float32)
        self._hidden = np.zeros((1, rows, width), np.float32)
        self._no_hidden = np.zeros((1, rows, width), np.float32)
        self._features = np.zeros((1, rows, info.width), np.float32)
        self._no_features = np.zeros((1, rows, info.width), np.float32)
        self._logits = np.zeros((1, rows, len(vocabulary)), np.float32)
        self._positions = np.arange(rows, dtype=np.int64)
        self._verified = 0  # rows of the cache that hold the target's own states
        self._pending = 0  # rows waiting in _embeddings and _hidden
        self._future = np.triu(np.full((rows, rows), MASKED), 1)
        self._mask = np.zeros(rows * rows, np.float32)  # room for the widest
        self._first_logits: NDArray[np.float32] = self._logits[0, 0]
        self._all_seen = np.zeros((1, rows), np.float32)  # a single row's mask
        # The clip's events, where steps look for them.
        self._event_keys = self._event_values = np.zeros((1, 0, 0, 0), np.float32)
        self._steps: dict[int, Callable[[], None]] = {}  # behind so many rows, once needed

    def begin(self, memory: EventMemory) -> None:
        self._verified = self._pending = 0
        if self._event_keys.shape == memory.keys.shape:
            self._event_keys[:], self._event_values[:] = memory.keys, memory.values
        else:
            self._event_keys, self._event_values = memory.keys.copy(), memory.values.copy()
            self._steps.clear()

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        """Rows beyond the head's context are dropped: from then on nothing is proposed."""
        assert len(hidden) == len(following)
        free = self._info.context - self._verified - self._pending
        if len(following) > free:
            self._pending = self._info.context + 1 - self._verified  # full for good
            return
        start, stop = self._pending, self._pending + len(following)
        self._embeddings[0, start:stop] = self._embedding[list(following)]
        self._hidden[0, start:stop] = hidden
        self._pending = stop

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        room = self._info.context - self._verified - self._pending
        gamma = min(gamma, room + 1)
        if gamma < 1 or self._pending == 0:
            return NOTHING
        tokens: list[int] = []
        weights: list[NDArray[np.float32]] = []
        logits = self._catch_up()
        while True:
            if sampling.greedy:
                chosen = int(logits.argmax())
            else:
                weights.append(distribution(logits, sampling))
                chosen = pick(weights[-1], rng.random())
            tokens.append(self._tokens[chosen])
            if len(tokens) == gamma:
                break
            logits = self._step(self._verified + len(tokens) - 1, tokens[-1])
        if sampling.greedy:
            return Proposal(tuple(tokens))
        return Proposal(tuple(tokens), np.stack(weights), self._vocabulary)

    def _catch_up(self) -> NDArray[np.float32]:
        """Run the pending verified rows; logits of the last one. [Vd]"""
        past, rows = self._verified, self._pending
        stop = past + rows
        mask = self._mask[: rows * stop].reshape(rows, stop)
        mask[:, :past] = 0
        mask[:, past:] = self._future[:rows, :rows]
        self._engine.run(*self._arrays(past, rows, self._hidden, self._no_features, mask))
        self._verified, self._pending = stop, 0
        self._features[0, 0] = self._features[0, rows - 1]
        last: NDArray[np.float32] = self._logits[0, rows - 1]
        return last

    def _step(self, past: int, token: int) -> NDArray[np.float32]:
        """One drafted row behind `past` rows, on the feature the last row left. [Vd]"""
        self._embeddings[0, 0] = self._embedding[token]
        step = self._steps.get(past)
        if step is None:
            step = self._steps[past] = self._step_behind(past)
        step()
        return self._first_logits

    def _step_behind(self, past: int) -> Callable[[], None]:
        """What depends on the number of rows in a step, made once: the engine itself takes
        microseconds here.
        """
        seen = self._all_seen[:, : past + 1]
        arrays = self._arrays(past, 1, self._no_hidden, self._features, seen)
        return prepared(self._engine, *arrays)

    def _arrays(
        self,
        past: int,
        rows: int,
        hidden: NDArray[np.float32],
        feature: NDArray[np.float32],
        mask: NDArray[np.float32],
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """What the engine reads and writes for so many rows behind `past`, of the buffers."""
        stop = past + rows
        feeds: dict[str, Array] = {
            "embedding": self._embeddings[:, :rows],
            "hidden": hidden[:, :rows],
            "feature": feature[:, :rows],
            "position": self._positions[past:stop],
            "past_keys": self._keys[:, :past],
            "past_values": self._values[:, :past],
            "mask": mask,
            "memory_keys": self._event_keys,
            "memory_values": self._event_values,
        }
        results: dict[str, Array] = {
            "logits": self._logits[:, :rows],
            "feature_out": self._features[:, :rows],
            "keys": self._keys[:, past:stop],
            "values": self._values[:, past:stop],
        }
        return feeds, results
