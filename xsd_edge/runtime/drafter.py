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

    The network is `models.cached_head`'s: it embeds a row's token itself and says the likeliest
    next one, so that a greedy draft is one run behind another with nothing of ours in between.
    """

    def __init__(
        self,
        engine: Engine,
        info: DrafterInfo,
        table: NDArray[np.float16],
        vocabulary: NDArray[np.int64],
    ) -> None:
        self._engine, self._info = engine, info
        self._table, self._vocabulary = table, vocabulary
        rows, width = info.context, table.shape[1]
        cache = (1, info.heads, rows, info.head_width)
        self._keys, self._values = np.zeros(cache, np.float32), np.zeros(cache, np.float32)
        self._following = np.zeros((1, rows), np.int64)
        self._hidden = np.zeros((1, rows, width), np.float32)
        self._no_hidden = np.zeros((1, 1, width), np.float32)
        self._no_features = np.zeros((1, rows, info.width), np.float32)
        self._feature = np.zeros((1, 1, info.width), np.float32)  # of the row that ran last
        self._logits = np.zeros((1, 1, len(vocabulary)), np.float32)  # behind that row
        self._last: NDArray[np.float32] = self._logits[0, 0]
        # Each run writes its choice where the next one reads its token.
        self._drafted = np.zeros((1, rows + 1), np.int64)
        self._newest, self._total = np.zeros(1, np.int32), np.zeros(1, np.int32)
        # Single numbers go through memoryviews, which do less about them than NumPy does.
        self._asked, self._chosen = self._following[0].data, self._drafted[0].data
        self._at, self._count = self._newest.data, self._total.data
        self._verified = 0  # rows of the cache that hold the target's own states
        self._pending = 0  # rows waiting in _following and _hidden
        # The clip's events, where the engine looks for them.
        self._event_keys = self._event_values = np.zeros((1, 0, 0, 0), np.float32)
        self._catch_ups: dict[int, Callable[[], None]] = {}  # by their rows, once needed
        self._steps: list[Callable[[], None]] = []  # behind so many drafted tokens, less one

    def begin(self, memory: EventMemory) -> None:
        self._verified = self._pending = 0
        if self._event_keys.shape == memory.keys.shape:
            self._event_keys[:], self._event_values[:] = memory.keys, memory.values
        else:
            self._event_keys, self._event_values = memory.keys.copy(), memory.values.copy()
            self._catch_ups.clear()
            self._steps.clear()

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        """Rows beyond the head's context are dropped: from then on nothing is proposed."""
        assert len(hidden) == len(following)
        free = self._info.context - self._verified - self._pending
        if len(following) > free:
            self._pending = self._info.context + 1 - self._verified  # full for good
            return
        start, stop = self._pending, self._pending + len(following)
        for at, token in enumerate(following, start):
            self._asked[at] = token
        self._hidden[0, start:stop] = hidden
        self._pending = stop

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        room = self._info.context - self._verified - self._pending
        gamma = min(gamma, room + 1)
        if gamma < 1 or self._pending == 0:
            return NOTHING
        weights: list[NDArray[np.float32]] = []
        self._catch_up()
        for place in range(gamma):
            if place:
                self._step(place - 1)
            if not sampling.greedy:
                weights.append(distribution(self._last, sampling))
                self._chosen[place] = int(self._vocabulary[pick(weights[-1], rng.random())])
        tokens = tuple(self._chosen[:gamma])
        if sampling.greedy:
            return Proposal(tokens)
        return Proposal(tokens, np.stack(weights), self._vocabulary)

    def _catch_up(self) -> None:
        """Run the pending verified rows."""
        rows = self._pending
        self._verified, self._pending = self._verified + rows, 0
        catch_up = self._catch_ups.get(rows)
        if catch_up is None:
            following, hidden = self._following[:, :rows], self._hidden[:, :rows]
            known = (following, hidden, self._no_features[:, :rows])
            catch_up = self._catch_ups[rows] = self._run(*known, self._drafted[:, :1])
        self._until(self._verified)
        catch_up()

    def _step(self, place: int) -> None:
        """Run the row of the drafted token at `place`, on the feature the row before it left."""
        if place == len(self._steps):
            token, chosen = (self._drafted[:, at : at + 1] for at in (place, place + 1))
            self._steps.append(self._run(token, self._no_hidden, self._feature, chosen))
        self._until(self._verified + place + 1)
        self._steps[place]()

    def _until(self, rows: int) -> None:
        """How many rows the cache will hold behind the next run."""
        self._at[0], self._count[0] = rows - 1, rows

    def _run(
        self,
        token: NDArray[np.int64],
        hidden: NDArray[np.float32],
        feature: NDArray[np.float32],
        chosen: NDArray[np.int64],
    ) -> Callable[[], None]:
        """A run over such rows, made ready once: a small network takes microseconds, and so does
        telling an engine where its arrays lie.
        """
        feeds: dict[str, Array] = {
            "token": token,
            "table": self._table,
            "hidden": hidden,
            "feature": feature,
            "newest": self._newest,
            "total": self._total,
            "past_keys": self._keys,
            "past_values": self._values,
            "memory_keys": self._event_keys,
            "memory_values": self._event_values,
        }
        results: dict[str, Array] = {
            "drafted": chosen,
            "logits": self._logits,
            "feature_out": self._feature,
            "keys": self._keys,
            "values": self._values,
        }
        return prepared(self._engine, feeds, results)
