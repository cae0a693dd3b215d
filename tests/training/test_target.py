"""The target's phases on a tiny model: they learn, and leave the model as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.export.conftest import LANGUAGE, byte_tokenizer, smallest_recipe
from xsd_edge.models.target import add_low_rank, build_target
from xsd_edge.recipe import Recipe
from xsd_edge.training.clips import clip_batches
from xsd_edge.training.loop import Phase
from xsd_edge.training.target import (
    LanguageLoss,
    answer_states,
    train_language,
    train_tower,
    with_negatives,
)

pytestmark = pytest.mark.host


@pytest.fixture
def recipe() -> Recipe:
    smallest = smallest_recipe(Path())
    return replace(
        smallest,
        target_training=replace(
            smallest.target_training,
            tower_steps=12,
            tower_batch=8,
            language_steps=6,
            language_batch=2,
            questions=1,
        ),
    )


def tiny_target(recipe: Recipe):  # type: ignore[no-untyped-def]
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    base = {k: v for k, v in LlamaForCausalLM(LANGUAGE).state_dict().items() if "lm_head" not in k}
    return build_target(recipe.target, LANGUAGE, base).train()


def test_the_tower_learns_and_nothing_else_moves(recipe: Recipe, tmp_path: Path) -> None:
    model = tiny_target(recipe)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses: list[float] = []
    phase = Phase(
        "tower", tmp_path, {"model": model}, False, lambda n, s, t, v: losses.append(v["loss"])
    )
    train_tower(model, recipe, phase)
    assert losses[-1] < losses[0]
    for name, value in model.state_dict().items():
        if "tower" not in name:
            assert torch.equal(value, before[name]), name


def test_the_language_phase_leaves_no_hook_behind(recipe: Recipe, tmp_path: Path) -> None:
    model = tiny_target(recipe)
    add_low_rank(model, recipe.target.low_rank)
    phase = Phase("language", tmp_path, {"model": model})
    train_language(model, recipe, byte_tokenizer(), 2, phase)
    hooks = [len(layer._forward_hooks) for layer in model.model.language_model.layers]
    assert hooks[1] == hooks[0]  # transformers keeps hooks of its own in every layer
    factors = [n for n, p in model.named_parameters() if n.endswith(".b") and p.abs().sum() > 0]
    assert factors


def test_a_branch_is_answered_as_if_it_were_alone(recipe: Recipe) -> None:
    """Packing saves prefixes and changes nothing: states equal those of the branch by itself."""
    model = tiny_target(recipe).eval()
    model.model.language_model.to(torch.bfloat16)
    words = byte_tokenizer()
    batch = next(clip_batches(recipe, words, 2, 3))
    before = words.encode("USER: ").ids
    with torch.no_grad():
        packed = answer_states(model, batch, before)
        second = batch.branch[0] == 2
        alone = replace(
            batch,
            pixels=batch.pixels[:1],
            tokens=batch.tokens[:1, second],
            labels=batch.labels[:1, second],
            branch=batch.branch[:1, second],
            depth=batch.depth[:1, second],
            motion=batch.motion[:1],
        )
        by_itself = answer_states(model, alone, before)
    torch.testing.assert_close(packed[:1, second].float(), by_itself.float(), rtol=0.05, atol=0.05)


def test_negatives_go_on_where_a_resumed_phase_does(recipe: Recipe) -> None:
    words = byte_tokenizer()
    whole = with_negatives(clip_batches(recipe, words, 2, 0), 288)
    drawn = [next(whole)[1] for _ in range(3)]
    again = with_negatives(clip_batches(recipe, words, 2, 0), 288)
    next(again)
    next(again)
    assert torch.equal(next(again)[1], drawn[2])


def test_the_probe_reads_half_way_up(recipe: Recipe) -> None:
    model = tiny_target(recipe)
    add_low_rank(model, 2)
    model.model.language_model.to(torch.bfloat16)
    loss = LanguageLoss(model, recipe, byte_tokenizer())
    layers = model.model.language_model.layers
    with loss.reading():
        assert [bool(layer._forward_hooks) for layer in layers] == [False, True]
    assert not any(layer._forward_hooks for layer in layers)
