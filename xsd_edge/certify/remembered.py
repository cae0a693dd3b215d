"""Engines that remember: what a network said once about a row, it is not asked again.

So the real decoder, draft head, loop and verifier can draw tens of thousands of answers from the
real logits of one context in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.decoder import EXACT_ROWS, Decoder
from xsd_edge.runtime.engine import Array, Arrays, Engine


@dataclass(slots=True, eq=False)
class _Row:
    """One row of the sequence, known by its embedding and the rows before it."""

    embedding: NDArray[np.float32]  # [D]
    logits: NDArray[np.float32] | None = None  # [S]
    hidden: NDArray[np.float32] | None = None  # [D]
    after: dict[bytes, _Row] = field(default_factory=dict)


class RememberedTarget:
    """The target behind a real decoder, from where that decoder stands; over some tokens only.

    A row's logits depend on nothing but the row and those before it. The rows that a pass asks for
    are looked up by exactly these, and what is not yet known is asked of the real decoder, in
    passes of at least two rows, as `--exact` makes them.
    """

    def __init__(self, decoder: Decoder, tokens: NDArray[np.int64]) -> None:
        self._decoder, self._tokens, self._base = decoder, tokens, decoder.offset
        self._root = _Row(np.zeros(0, np.float32))
        self._path: list[_Row] = []  # what stands in the cache of whoever runs this engine
        self._real: list[_Row] = []  # what stands in the real decoder's, behind its base
        self.passes = 0  # real ones

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        """Nothing to hold: the cache is the path of rows."""

    def run(self, feeds: Arrays, results: Arrays) -> None:
        rows = feeds["inputs_embeds"][0]
        start = feeds["attention_mask"].shape[1] - len(rows)
        path = self._path
        del path[start:]
        row = path[-1] if path else self._root
        unknown = False
        for embedding in rows:
            key = embedding.tobytes()
            known = row.after.get(key)
            if known is None:
                known = row.after[key] = _Row(embedding.copy())
            path.append(known)
            unknown |= known.logits is None
            row = known
        if unknown:
            self._ask()
        for at, one in enumerate(path[start:]):
            results["hidden_states"][0, at] = one.hidden
        for at, asked in enumerate(feeds["rows"]):
            results["logits"][0, at] = path[start + asked].logits

    def _ask(self) -> None:
        """Run the real decoder over the part of the path that its cache does not hold."""
        path, real = self._path, self._real
        shared = 0
        while shared < min(len(path), len(real)) and path[shared] is real[shared]:
            shared += 1
        self._decoder.trim(self._base + shared)
        wanted = np.stack([row.embedding for row in path[shared:]])
        logits, hidden = self._decoder.forward(wanted, last=len(wanted), padded_to=EXACT_ROWS)
        for at, row in enumerate(path[shared:]):
            row.logits, row.hidden = logits[at, self._tokens], hidden[at].copy()
        self._real = list(path)
        self.passes += 1

    def close(self) -> None:
        """The real engine belongs to the session."""


class RememberedHead:
    """The draft head's network for one clip: rows are known by what goes in and the rows before.

    The keys and values of earlier rows are not compared: they are what this engine itself wrote
    there, so remembering which run wrote them is enough.
    """

    def __init__(
        self, engine: Engine, table: NDArray[np.float16], tokens: NDArray[np.int64]
    ) -> None:
        """`tokens` [S], rising, are the real numbers of the tokens that whoever runs this engine
        numbers 0, 1, ...; `table` [V, D] the real embeddings.
        """
        self._engine, self._table, self._tokens = engine, table, tokens
        self._known: dict[tuple[int, bytes, bytes, bytes], tuple[int, dict[str, Array]]] = {}
        self._writers: list[int] = []  # which run wrote each row of the cache

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        raise AssertionError("a draft head's cache belongs to who runs it")

    def run(self, feeds: Arrays, results: Arrays) -> None:
        rows, stop = feeds["token"].shape[1], int(feeds["total"][0])
        past = stop - rows
        before = self._writers[past - 1] if past else 0
        token, hidden, feature = (feeds[n].tobytes() for n in ("token", "hidden", "feature"))
        key = (before, token, hidden, feature)
        found = self._known.get(key)
        parts = _written(results, past, stop)
        if found is None:
            real: Arrays = {"token": self._tokens[feeds["token"]], "table": self._table}
            self._engine.run({**feeds, **real}, results)
            # The engine says a token's real number.
            results["drafted"][...] = np.searchsorted(self._tokens, results["drafted"])
            copies = {name: array.copy() for name, array in parts.items()}
            found = self._known[key] = len(self._known) + 1, copies
        else:
            for name, array in parts.items():
                array[...] = found[1][name]
        self._writers[past:] = [found[0]] * rows

    def close(self) -> None:
        """The real engine belongs to the session."""


def _written(results: Arrays, past: int, stop: int) -> Arrays:
    """What a run over some rows writes of its results: of a cache only those rows."""
    caches = {name: results[name][:, :, past:stop] for name in ("keys", "values")}
    return {**results, **caches}
