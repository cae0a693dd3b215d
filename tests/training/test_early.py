"""The early drafter's training: examples from streams, what a batch asks, that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from tests.export.conftest import byte_tokenizer, tiny_recipe
from xsd_edge.models.drafter import MASKED, EventEncoder
from xsd_edge.models.early import Early
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.training.early import (
    FORGOTTEN,
    MISLED,
    EarlyExamples,
    answers_by_question,
    early_batches,
    gather,
    recalled,
    teacher_forced,
    train_early,
    true_answers,
)
from xsd_edge.training.early_encoder import EventProbe
from xsd_edge.training.loop import Phase
from xsd_edge.training.stream_quality import _prefix, sign_flip_p
from xsd_edge.world.scenes import DESCRIBE
from xsd_edge.world.streams import stream

pytestmark = pytest.mark.host
END, WIDTH = 2, 96


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return byte_tokenizer()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Long enough for answers that a tokenizer of single bytes spells out."""
    tiny = tiny_recipe(tmp_path_factory.mktemp("recipe"))
    assert tiny.early is not None
    assert tiny.early_training is not None
    return replace(
        tiny,
        early=replace(tiny.early, context=512, previous=200),
        early_training=replace(tiny.early_training, steps=30, batch=4),
    )


@pytest.fixture(scope="module")
def examples(recipe: Recipe, words: Tokenizer) -> EarlyExamples:
    prompt = Prompt(words, recipe.target.prompt)
    return gather(range(2), 3, recipe, prompt, true_answers(prompt, END), lambda done: None)


def test_each_answer_follows_the_last_one_to_the_same_question(
    examples: EarlyExamples, words: Tokenizer
) -> None:
    clips = list(stream(1, 3))
    of_stream = examples.examples[6:]  # two questions about each of three clips
    assert [e.clip for e in of_stream] == [3, 3, 4, 4, 5, 5]
    assert [e.previous for e in of_stream[:2]] == [(), ()]
    assert [e.previous for e in of_stream[2:]] == [e.answer for e in of_stream[:-2]]
    for example, clip in zip(of_stream[::2], clips, strict=True):
        assert words.decode(example.answer[:-1]).strip() == clip.scene.caption()
        assert DESCRIBE in words.decode(example.question)
        assert example.answer[-1] == END


def test_examples_are_kept_as_they_are(examples: EarlyExamples, tmp_path: Path) -> None:
    examples.save(tmp_path / "kept.npz")
    again = EarlyExamples.load(tmp_path / "kept.npz")
    assert again.examples == examples.examples
    np.testing.assert_array_equal(again.counts, examples.counts)
    np.testing.assert_array_equal(again.told, examples.told)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.npz"]


def test_a_batch_asks_for_the_answer_and_for_nothing_else(
    examples: EarlyExamples, recipe: Recipe
) -> None:
    vocabulary = np.unique([t for e in examples.examples for t in e.answer])[1:].astype(np.int32)
    assert recipe.early is not None
    batch = next(early_batches([examples], recipe.early.previous, vocabulary, 16))
    known = {(*e.question, *e.answer)[:-1]: e for e in examples.examples}
    for tokens, wanted in zip(batch.tokens.tolist(), batch.wanted.tolist(), strict=True):
        example = next(e for text, e in known.items() if tuple(tokens[: len(text)]) == text)
        start = len(example.question) - 1
        asked = wanted[start : start + len(example.answer)]
        # A token that cannot be drafted is not asked for.
        expected = [
            int(np.flatnonzero(vocabulary == t)[0]) if t in vocabulary else -1
            for t in example.answer
        ]
        assert asked == expected
        assert set(wanted[:start]) | set(wanted[start + len(example.answer) :]) <= {-1}


def test_now_and_then_the_last_answer_is_forgotten_or_of_another_scene(
    examples: EarlyExamples,
) -> None:
    example = examples.examples[2]
    said = answers_by_question(examples.examples)[example.question]
    assert said == [e.answer for e in examples.examples if e.question == example.question]
    rng, elsewhere = np.random.default_rng(0), (7, 7, END)
    told = [recalled(example, [elsewhere], rng) for _ in range(4000)]
    shares = [told.count(kind) / len(told) for kind in ((), elsewhere, example.previous)]
    assert shares == pytest.approx([FORGOTTEN, MISLED, 1 - FORGOTTEN - MISLED], abs=0.02)


def test_rows_see_only_what_came_before(recipe: Recipe) -> None:
    torch.manual_seed(0)
    assert recipe.early is not None
    early = Early(recipe.early, recipe.drafter, WIDTH, 11).eval()
    side = recipe.drafter.event_side
    counts = torch.rand(1, 2 * recipe.drafter.event_bins, side, side)
    memory = early.memory(counts, torch.randn(1, recipe.early.previous, WIDTH))
    embedding = torch.randn(1, 7, WIDTH)
    whole = teacher_forced(early, embedding, memory)
    changed = embedding.clone()
    changed[:, 4:] += 1
    torch.testing.assert_close(teacher_forced(early, changed, memory)[:, :4], whole[:, :4])
    heads, width = memory[0].shape[1], memory[0].shape[3]
    none = torch.zeros(1, 0, heads, width)
    past = early.head(
        embedding[:, :5], torch.arange(5), none, none, torch.full((5, 5), MASKED).triu(1), *memory
    )
    step = early.head(
        embedding[:, 5:6], torch.tensor([5]), past.keys, past.values, torch.zeros(1, 6), *memory
    )
    torch.testing.assert_close(step.logits[:, 0], whole[:, 5], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_it_learns(examples: EarlyExamples, recipe: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert recipe.early is not None
    assert recipe.early_training is not None
    vocabulary = np.unique([t for e in examples.examples for t in e.answer]).astype(np.int32)
    early = Early(recipe.early, recipe.drafter, WIDTH, len(vocabulary))
    table = torch.randn(288, WIDTH)
    early.begin(table, EventEncoder(recipe.drafter))
    losses: list[float] = []
    phase = Phase(
        "early", tmp_path, {"0": early}, False, lambda n, s, t, v: losses.append(v["said"])
    )
    batches = early_batches([examples], recipe.early.previous, vocabulary, 4)
    probe = EventProbe(recipe.drafter.event_hidden)
    train_early(early, probe, batches, table, recipe.early_training, phase)
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


def test_a_prefix_is_a_share_of_the_answer() -> None:
    assert _prefix([1, 2, 3], [1, 2, 3, 4]) == 0.75
    assert _prefix([1, 9, 3, 4], [1, 2, 3, 4]) == 0.25
    assert _prefix([], [1]) == 0
    assert _prefix([1, 2, 3, 4, 5], [1, 2]) == 1


def test_signs_are_flipped_by_pairs() -> None:
    """Of the 2^n equally likely signs only one gives a mean as large as all gains together."""
    assert sign_flip_p(np.full(5, 0.1)) == pytest.approx(1 / 32, rel=0.1)
    assert sign_flip_p(np.array([0.3, -0.3])) == pytest.approx(0.75, rel=0.05)
    assert sign_flip_p(np.full(40, 0.1)) < 1e-3
