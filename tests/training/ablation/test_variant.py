"""What a row sees reaches its head, and what it does not see does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.export.conftest import smallest_recipe
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import NOTHING, Proposal
from xsd_edge.training.ablation.corpus import kinds_asked
from xsd_edge.training.ablation.measure import GAMMA, AtLength
from xsd_edge.training.ablation.rows import DEGRADED_TOO, ROWS, Row
from xsd_edge.training.ablation.totals import PAIRS
from xsd_edge.training.ablation.variant import Seen, Variant, embedded

pytestmark = pytest.mark.host
WIDTH, LONGEST = 32, 7


def recipe() -> Recipe:
    demo = Recipe.load(ROOT / "export" / "demo.toml")
    assert demo.early is not None
    early = replace(demo.early, encoder_layers=1, previous=LONGEST)
    return replace(smallest_recipe(Path()), early=early)


def variant(row: Row) -> Variant:
    torch.manual_seed(0)
    return Variant(row, recipe(), WIDTH, 11).eval()


def seen() -> Seen:
    generator = torch.Generator().manual_seed(1)
    counts = torch.rand(2, 10, 64, 64, generator=generator)
    frame = torch.randn(2, 5, WIDTH, generator=generator)
    return Seen(counts, frame, torch.randn(2, LONGEST, WIDTH, generator=generator))


@pytest.mark.parametrize("row", [row for row in ROWS if not row.lookup], ids=lambda row: row.name)
def test_a_memory_holds_what_the_row_sees_and_nothing_else(row: Row) -> None:
    net, shown = variant(row), seen()
    with torch.no_grad():
        keys, values = net(shown)
        blind = replace(shown, counts=shown.counts + 1)
        unframed = replace(shown, frame=shown.frame + 1)
        untold = replace(shown, previous=shown.previous + 1)
        sees = [not torch.equal(net(other)[1], values) for other in (blind, unframed, untold)]
    assert sees == [row.events != "none", row.frame, row.previous]
    events = 0 if row.events == "none" else 16 if row.attended else 1
    tokens = 16 + LONGEST if row.previous else events
    assert keys.shape == values.shape == (2, 3, max(tokens + 5 * row.frame, 1), 16)


def test_rows_begin_alike_and_have_names_of_their_own() -> None:
    heads = [variant(row).head.state_dict() for row in ROWS if not row.lookup]
    for head in heads[1:]:
        assert all(torch.equal(head[name], tensor) for name, tensor in heads[0].items())
    names = {row.name for row in ROWS}
    assert len(names) == len(ROWS)
    assert {*DEGRADED_TOO, *(name for pair in PAIRS for name in pair)} <= names


def test_without_anything_to_see_attention_adds_nothing() -> None:
    keys, values = variant(ROWS[0])(seen())
    assert not keys.any()
    assert not values.any()


class Heard:
    """A drafter that keeps what it was shown."""

    def begin(self, memory: object) -> None:
        pass

    def observe(self, hidden: np.ndarray, following: Sequence[int]) -> None:
        self.hidden = hidden

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        self.gamma = gamma
        return NOTHING


@pytest.mark.parametrize("hidden", [True, False])
def test_hidden_states_reach_only_those_who_may_see_them(hidden: bool) -> None:
    heard = Heard()
    drafter = AtLength(heard, hidden)
    drafter.observe(np.ones((2, 3), np.float32), (1, 2))
    drafter.propose(50, Sampling(), np.random.default_rng(0))
    assert bool(heard.hidden.any()) == hidden
    assert heard.hidden.shape == (2, 3)
    assert heard.gamma == GAMMA


def test_previous_answers_are_cut_and_filled_up() -> None:
    table = torch.arange(12.0).reshape(6, 2)
    assert embedded(np.array([5, 1]), table, 3).tolist() == [[10, 11], [2, 3], [0, 0]]
    assert embedded(np.array([5, 1, 2]), table, 2).tolist() == [[10, 11], [2, 3]]


def test_a_stream_is_asked_the_same_about_every_clip() -> None:
    for seed in range(20):
        kinds = kinds_asked(seed, 2)
        assert kinds == kinds_asked(seed, 2)
        assert kinds[0] == "describe"
        assert len(set(kinds)) == 3
