"""A head with fixed axes answers as the one whose axes vary, whatever it is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.runtime.heads import SmallHead
from xsd_edge.bundle import Part
from xsd_edge.runtime.engine import Array, Arrays, allocate
from xsd_edge.runtime.fixed_head import FixedDraftHead
from xsd_edge.runtime.onnx_engine import OnnxEngine

pytestmark = pytest.mark.host

ROWS, ROOM = 4, 24


class OneShape:
    """The varying graph, which insists on one shape: what a built engine is."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.runs = 0
        self._engine = engine

    def run(self, feeds: Arrays, results: Arrays) -> None:
        self.runs += 1
        assert feeds["embedding"].shape[1] == ROWS
        assert feeds["past_keys"].shape[1] == ROOM
        assert feeds["mask"].shape == (ROWS, ROOM + ROWS)
        self._engine.run(feeds, results)

    def hold(self, *_: object) -> None:
        raise AssertionError("a draft head keeps its own cache")

    def close(self) -> None:
        self._engine.close()


@pytest.fixture(scope="module")
def part(small: SmallHead) -> Part:
    return small.plain_part


@pytest.fixture(scope="module")
def varying(small: SmallHead) -> OnnxEngine:
    return small.plain


def asked(part: Part, rows: int, past: int) -> dict[str, Array]:
    rng = np.random.default_rng(rows * 100 + past)
    feeds = allocate(part.inputs, m=rows, S=past, T=past + rows)
    for name, array in feeds.items():
        if array.dtype == np.float32:
            feeds[name] = rng.normal(size=array.shape).astype(np.float32)
    feeds["position"] = np.arange(past, past + rows)
    feeds["mask"] = np.triu(np.full((rows, past + rows), -1e4, np.float32), past + 1)
    return feeds


@pytest.mark.parametrize(
    ("rows", "past"), [(1, 0), (1, 7), (4, 0), (3, 20), (5, 0), (9, 11), (12, 12), (1, 24)]
)
def test_answers_alike(part: Part, varying: OnnxEngine, rows: int, past: int) -> None:
    fixed = replace(part, sizes={"m": ROWS, "S": ROOM, "T": ROOM + ROWS})
    inner = OneShape(varying)
    head = FixedDraftHead(inner, fixed)
    # What was there before must not shine through.
    head.run(asked(part, 7, 13), allocate(part.outputs, m=7))
    inner.runs = 0
    feeds = asked(part, rows, past)
    wanted, found = allocate(part.outputs, m=rows), allocate(part.outputs, m=rows)
    varying.run(feeds, wanted)
    head.run(feeds, found)
    assert inner.runs == -(-rows // ROWS)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, atol=2e-5, err_msg=name)
