"""Which parts get a cache inside, and which heads ONNX Runtime's attention over a cache takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import ROOT
from xsd_edge.boards import Board
from xsd_edge.checkpoint_recipe import CheckpointRecipe
from xsd_edge.errors import RecipeError
from xsd_edge.export.cached import require_head, with_cache
from xsd_edge.export.networks import draft_head_network
from xsd_edge.export.parity import written
from xsd_edge.export.pipeline import silent
from xsd_edge.export.rehearsal import rehearse
from xsd_edge.models.cached_head import CachedHead
from xsd_edge.models.drafter import DraftHead
from xsd_edge.models.norm_sites import norm_sites
from xsd_edge.recipe import Recipe

pytestmark = pytest.mark.host

SPEC = Recipe.load(ROOT / "export" / "demo.toml").drafter


@pytest.mark.parametrize(("width", "heads"), [(384, 6), (2048, 16), (16, 1)])
def test_heads_of_sixteens_pass(width: int, heads: int) -> None:
    require_head(replace(SPEC, head_width=width, head_heads=heads))


@pytest.mark.parametrize(("width", "heads"), [(24, 3), (40, 1), (384, 5)])
def test_other_heads_are_refused(width: int, heads: int) -> None:
    with pytest.raises(RecipeError, match=rf"is {width} / {heads} wide.*multiples of 16; change"):
        require_head(replace(SPEC, head_width=width, head_heads=heads))


def test_a_rehearsal_for_a_cpu_refuses_them_before_it_begins() -> None:
    recipe = CheckpointRecipe.load(ROOT / "export" / "video-llava-7b.toml")
    narrow = replace(recipe, drafter=replace(recipe.drafter, head_width=40, head_heads=1))
    said: list[str] = []
    with pytest.raises(RecipeError, match="multiples of 16"):
        rehearse(narrow, Board.load("cpu"), report=said.append, progress=silent)
    assert said == []


def test_the_draft_head_alone_is_changed_and_keeps_its_layers() -> None:
    head = DraftHead(SPEC, 64, 20)
    plain = draft_head_network(head, SPEC, 64, SPEC.event_tokens)
    network, _ = with_cache(plain, [], np.arange(20))
    assert isinstance(network.module, CachedHead)
    # Ranges, smoothing and INT8 find a layer by its path, and change the head's own.
    assert list(norm_sites(network.module)) == list(norm_sites(head))
    found = dict(network.module.named_parameters())
    assert all(found[path] is parameter for path, parameter in head.named_parameters())
    assert len(found) == len(list(head.named_parameters()))
    other = replace(plain, name="early_head")
    assert with_cache(other, [], np.arange(20))[0] is other


def test_a_cache_is_judged_by_the_rows_that_were_written() -> None:
    before = np.zeros((1, 2, 6, 4), np.float32)
    before[:, :, :3] = 1
    wanted, right, spoilt = before.copy(), before.copy(), before.copy()
    wanted[:, :, 3] = right[:, :, 3] = spoilt[:, :, 3] = 2
    spoilt[0, 1, 0] = 7  # an earlier row
    assert [len(rows) for rows in written(before, wanted, right)] == [2, 2]
    assert [len(rows) for rows in written(before, wanted, spoilt)] == [3, 3]
    assert written(None, wanted, right)[0] is wanted
