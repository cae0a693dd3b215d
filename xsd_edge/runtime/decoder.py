"""The target language model with its KV cache: rows in, logits and hidden states out, rollback by
subtraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import TargetInfo
from xsd_edge.errors import ContextFullError
from xsd_edge.runtime.engine import Array, Engine

PASS_ROWS = 512  # longest single pass; a longer prefill is cut into several
LOGIT_ROWS = 64  # most rows of one pass whose logits may be asked for
# Attention kernels take another path for a single row and round differently there; from two rows
# on, a row's result does not depend on how many others share its pass. `certify` and the tests
# check it.
EXACT_ROWS = 2


class Forward(NamedTuple):
    """What one pass gives. Views into the decoder's buffers: good until its next pass."""

    logits: NDArray[np.float32]  # [k, V] of the asked rows
    hidden: NDArray[np.float32]  # [m, D]


class _Views(NamedTuple):
    """A pass's parts of the buffers; the same arrays each time, for engines bind what is new."""

    inputs: NDArray[np.float32]  # [p, D]
    whole: Forward  # [k, V] and [p, D], all that the pass gives
    feeds: dict[str, Array]  # all but the mask, which is as long as the cache
    results: dict[str, Array]


class Decoder:
    """One sequence in a preallocated cache.

    The cache is longer than the context by the padding that `--exact` may add, so padding never
    runs out of room before real tokens do.
    """

    def __init__(
        self, engine: Engine, info: TargetInfo, embedding: NDArray[np.float16], padding: int = 0
    ) -> None:
        self.info = info
        self.offset = 0  # tokens in the cache
        self._engine = engine
        self._embedding = embedding
        capacity = info.context + padding
        pairs = {
            f"past_key_values.{layer}.{kind}": f"present.{layer}.{kind}"
            for layer in range(info.layers)
            for kind in ("key", "value")
        }
        engine.hold(pairs, (1, info.kv_heads, capacity, info.head_width), info.cache_dtype)
        self._attention = np.ones((1, capacity), np.int64)
        self._inputs = np.zeros((1, PASS_ROWS, info.hidden), np.float32)
        self._hidden = np.zeros((1, PASS_ROWS, info.hidden), np.float32)
        self._logits = np.zeros((1, LOGIT_ROWS, info.vocabulary), np.float32)
        self._views: dict[tuple[int, int], _Views] = {}  # by p and k

    @property
    def room(self) -> int:
        """How many more tokens fit."""
        return self.info.context - self.offset

    def embed(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Input embeddings of tokens. [m] -> [m, D]"""
        return self._embedding[np.asarray(tokens, np.int64)].astype(np.float32)

    def trim(self, offset: int) -> None:
        """Forget everything behind the first `offset` tokens; what lies behind is overwritten
        later.
        """
        assert 0 <= offset <= self.offset
        self.offset = offset

    def prefill(self, embeddings: NDArray[np.float32], last: int = 1) -> Forward:
        """Append any number of rows; logits of the `last` ones. [m, D] -> logits [last, V], hidden
        [<=512, D]
        """
        while len(embeddings) > PASS_ROWS:
            rows = min(PASS_ROWS, len(embeddings) - last)
            self.forward(embeddings[:rows], last=0)
            embeddings = embeddings[rows:]
        return self.forward(embeddings, last=last)

    def forward(self, embeddings: NDArray[np.float32], last: int, padded_to: int = 0) -> Forward:
        """One pass over m new rows behind the cache, with logits for the `last` rows of them.

        `padded_to` runs the pass with at least so many rows, the extra ones being copies that the
        cache forgets: with equal row counts two passes round alike.

        Raises:
            ContextFullError: the rows do not fit.
        """
        m = len(embeddings)
        views = self._views_of(m, last, padded_to)
        views.inputs[:m] = embeddings
        return self._run(views, m, last)

    def score(self, tokens: Sequence[int], padded_to: int = 0) -> Forward:
        """`forward` of tokens, with logits for each. The loop's own pass: between two of them the
        processor waits for Python, so nothing is done twice here.
        """
        m = len(tokens)
        views = self._views_of(m, m, padded_to)
        for at, token in enumerate(tokens):  # half the time of gathering them at once
            views.inputs[at] = self._embedding[token]
        return self._run(views, m, m)

    def _views_of(self, m: int, last: int, padded_to: int) -> _Views:
        """The buffers of a pass over m rows."""
        if m > self.room:
            raise ContextFullError(
                f"{m} more tokens do not fit: {self.offset} of {self.info.context} are used; "
                "ask a shorter question or export with a longer context"
            )
        padded = max(m, padded_to)
        # Padding asks for logits too: the last product must have equal row counts as well.
        asked = last + (padded - m)
        return self._views.get((padded, asked)) or self._view(padded, asked)

    def _run(self, views: _Views, m: int, last: int) -> Forward:
        """A pass over m rows that lie in `views`, and the padding behind them."""
        padded = len(views.inputs)
        if padded > m:
            views.inputs[m:] = views.inputs[m - 1]
        views.feeds["attention_mask"] = self._attention[:, : self.offset + padded]
        self._engine.run(views.feeds, views.results)
        self.offset += m
        if padded == m:  # behind a pass every array that is made takes microseconds
            return views.whole
        return Forward(views.whole.logits[:last], views.whole.hidden[:m])

    def _view(self, padded: int, asked: int) -> _Views:
        inputs, hidden = self._inputs[:, :padded], self._hidden[:, :padded]
        logits = self._logits[:, :asked]
        rows = np.arange(padded - asked, padded)  # whose logits are asked for: the last ones
        views = _Views(
            inputs[0],
            Forward(logits[0], hidden[0]),
            {"inputs_embeds": inputs, "rows": rows},
            {"logits": logits, "hidden_states": hidden},
        )
        if padded <= LOGIT_ROWS:  # longer passes are rare, and of many lengths
            self._views[padded, asked] = views
        return views
