"""A drafting head whose axes are fixed, behind the contract of one whose axes vary.

The engine has `m` rows behind `S` past ones. A call with fewer rows is padded, one with more is cut
into several runs; the past is laid out from row 0 on, the new rows stand behind row S, and the mask
hides what lies between and every row that is padding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import Part
from xsd_edge.runtime.engine import Array, Arrays, Engine, arrays_for

MASKED = np.float32(-1e4)


def causal(past: int, rows: int) -> NDArray[np.float32]:
    """The mask of new rows behind `past` ones: each sees these, itself and the rows before it.
    [rows, past + rows]
    """
    return np.triu(np.full((rows, past + rows), MASKED), past + 1)


class FixedDraftHead:
    """Writes to the engine's own arrays, or to a copy: a CUDA graph's addresses never change."""

    def __init__(self, engine: Engine, part: Part) -> None:
        self._engine = engine
        self._rows, self._room = part.sizes["m"], part.sizes["S"]
        varying = {spec.name for spec in part.inputs if set(spec.shape) & {"m", "S", "T"}}
        self._whole = tuple({spec.name for spec in part.inputs} - varying)
        self._tokens = tuple(s.name for s in part.inputs if len(s.shape) == 3 and s.shape[1] == "m")
        self._answers = tuple(spec.name for spec in part.outputs)
        self._feeds = arrays_for(engine, part.inputs, **part.sizes)
        self._results = arrays_for(engine, part.outputs, **part.sizes)
        # Padding may look at itself alone: a row that sees nothing has no softmax.
        self._own = np.where(np.eye(self._rows, dtype=bool), np.float32(0), MASKED)

    def run(self, feeds: Arrays, results: Arrays) -> None:
        rows = len(feeds["position"])
        past = feeds["past_keys"].shape[1]
        self._put_past(feeds, past)
        for start in range(0, rows, self._rows):
            stop = min(start + self._rows, rows)
            self._put_rows(feeds, past, start, stop)
            self._engine.run(self._feeds, self._results)
            for name in self._answers:
                results[name][:, start:stop] = self._results[name][:, : stop - start]
            if stop < rows:  # the next run sees these rows as past
                for name in ("keys", "values"):
                    where = self._feeds[f"past_{name}"]
                    where[:, past + start : past + stop] = results[name][:, start:stop]

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        self._engine.hold(pairs, shape, dtype)

    def close(self) -> None:
        self._engine.close()

    def _put_past(self, feeds: Arrays, past: int) -> None:
        for name in ("past_keys", "past_values"):
            self._feeds[name][:, :past] = feeds[name]
        for name in self._whole:
            self._feeds[name][:] = feeds[name]

    def _put_rows(self, feeds: Arrays, past: int, start: int, stop: int) -> None:
        count = stop - start
        for name in self._tokens:
            self._feeds[name][:, :count] = feeds[name][:, start:stop]
        self._feeds["position"][:count] = feeds["position"][start:stop]
        self._feeds["position"][count:] = 0
        asked: Array = feeds["mask"][start:stop]
        mask: NDArray[np.float32] = self._feeds["mask"]
        mask[:] = MASKED
        mask[:count, : past + start] = asked[:, : past + start]
        mask[:, self._room :] = self._own
        mask[:count, self._room : self._room + count] = asked[:, past + start : past + stop]
