"""Trains the early drafter on streams: the previous answer and this clip's events in, this clip's
answer out.

Both answers are the target's own where the target has been asked (`answered`), since its mistakes
are what is to be drafted too. Further streams carry the ground truth (`invented`): they cost no
target and teach what events say about motion. The event encoder learns first (early_encoder.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xsd_edge.checkpoint_recipe import AnyRecipe
from xsd_edge.errors import TrainingError
from xsd_edge.export.pair import load_drafter, load_target
from xsd_edge.models.drafter import MASKED
from xsd_edge.models.early import Early
from xsd_edge.recipe import EarlyTraining
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.training.arrays import loaded_arrays, save_arrays
from xsd_edge.training.bench import Run, collector_of, embeddings, in_half
from xsd_edge.training.distill import Collector, event_counts
from xsd_edge.training.early_encoder import (
    EventProbe,
    event_batches,
    told_by_events,
    train_encoder,
)
from xsd_edge.training.loop import Phase
from xsd_edge.training.precision import fast_products
from xsd_edge.world import scenes
from xsd_edge.world.streams import StreamClip, foreseen, stream

# Questions that every scene answers, so that a stream can ask them about each clip.
KINDS = ("moves", "still", "count", "count_moving")
FORGOTTEN = 0.1  # share of examples without a previous answer: a stream's first clip has none
# Share with an answer about another scene, as behind a cut: without them the drafter repeats what
# it is told, sure of itself, also where the events tell of other things.
MISLED = 0.15
TARGETS_OWN = 0.25  # share of a batch that the target answered itself
PROBED = 0.2  # weight of what the event tokens say, beside the answer
SEED = 3  # of torch's generator
ANSWERED_FROM = 60_000_000  # first stream seed that the target answers
INVENTED_FROM = 70_000_000

Words = tuple[int, ...]  # as tokens


@dataclass(frozen=True, slots=True)
class EarlyExample:
    """One answer in a stream; `clip` indexes the event counts."""

    clip: int
    question: Words
    previous: Words  # the last clip's answer to the same question, end token included
    answer: Words  # end token included


@dataclass(frozen=True, slots=True)
class EarlyExamples:
    """Examples, and the clips that they are about."""

    counts: NDArray[np.float16]  # [clips, 2 * bins, side, side]
    told: NDArray[np.int8]  # [clips, E, attributes] see `told_by_events`
    examples: list[EarlyExample]

    def save(self, path: Path) -> None:
        """Write them whole or not at all.

        Raises:
            TrainingError: they cannot be written.
        """
        texts = [t for e in self.examples for t in (e.question, e.previous, e.answer)]
        flat: dict[str, NDArray[Any]] = {
            "counts": self.counts,
            "told": self.told,
            "clip": np.array([e.clip for e in self.examples]),
            "lengths": np.array([len(t) for t in texts]),
            "tokens": np.array([token for text in texts for token in text], np.int32),
        }
        save_arrays(path, flat)

    @classmethod
    def load(cls, path: Path) -> EarlyExamples:
        """Read what `save` wrote.

        Raises:
            TrainingError: it is something else, or damaged.
        """
        with loaded_arrays(path) as flat:
            ends = np.cumsum(flat["lengths"])[:-1]
            texts = [tuple(int(t) for t in part) for part in np.split(flat["tokens"], ends)]
            triples = zip(texts[0::3], texts[1::3], texts[2::3], strict=True)
            made = [
                EarlyExample(int(clip), *triple)
                for clip, triple in zip(flat["clip"], triples, strict=True)
            ]
            return cls(flat["counts"], flat["told"], made)


def of_kinds(scene: scenes.Scene, kinds: Sequence[str]) -> list[scenes.QuestionAnswer]:
    """The exchanges of these kinds, of each of which the scene has one: "describe" or of KINDS."""
    by_kind = {exchange.kind: exchange for exchange in scene.exchanges()}
    return [by_kind[kind] for kind in kinds]


Answers = Callable[[StreamClip, Sequence[scenes.QuestionAnswer]], list[Words]]


def targets_answers(collector: Collector) -> Answers:
    """What the exported target says."""

    def answers(clip: StreamClip, asked: Sequence[scenes.QuestionAnswer]) -> list[Words]:
        collector.look(clip.scene)
        found = (collector.answer(exchange, clip=0) for exchange in asked)
        return [tuple(int(t) for t in e.tokens[e.question_rows :]) for e in found]

    return answers


def true_answers(prompt: Prompt, end: int) -> Answers:
    """What is so."""

    def answers(clip: StreamClip, asked: Sequence[scenes.QuestionAnswer]) -> list[Words]:
        return [(*prompt.tokens(f" {exchange.answer}"), end) for exchange in asked]

    return answers


def gather(
    seeds: range,
    clips: int,
    recipe: AnyRecipe,
    prompt: Prompt,
    answers: Answers,
    report: Callable[[int], None],
) -> EarlyExamples:
    """The caption and one other question about each clip of the streams of `seeds`, in order."""
    counts: list[NDArray[np.float16]] = []
    told: list[NDArray[np.int8]] = []
    examples: list[EarlyExample] = []
    for number, seed in enumerate(seeds):
        kinds = ("describe", KINDS[seed % len(KINDS)])
        previous: list[Words] = [(), ()]
        for clip in stream(seed, clips, recipe.world):
            asked = of_kinds(clip.scene, kinds)
            said = answers(clip, asked)
            for exchange, before, answer in zip(asked, previous, said, strict=True):
                question = tuple(prompt.asked(exchange.question))
                examples.append(EarlyExample(len(counts), question, before, answer))
            counts.append(event_counts(foreseen(clip.events()), recipe).astype(np.float16))
            told.append(told_by_events(clip, recipe.drafter.event_cells))
            previous = said
        report(number + 1)
    return EarlyExamples(np.stack(counts), np.stack(told), examples)


@dataclass(frozen=True, slots=True)
class EarlyBatch:
    """B answers of up to L rows."""

    counts: Tensor  # [B, 2 * bins, side, side]
    told: Tensor  # [B, E, attributes] int64, what events tell
    previous: Tensor  # [B, P] token ids
    known: Tensor  # [B, P, 1] float, 0 behind the previous answer
    tokens: Tensor  # [B, L] question and answer
    wanted: Tensor  # [B, L] index into the draft vocabulary of what follows, -1 where not drafted


def early_batches(
    sources: Sequence[EarlyExamples], words: int, vocabulary: NDArray[np.int32], size: int
) -> Iterator[EarlyBatch]:
    """Endless batches; the first source (the target's own) makes up `TARGETS_OWN` of each. Of
    previous answers the first `words` tokens are read.
    """
    rng = np.random.default_rng(8)
    said = [answers_by_question(source.examples) for source in sources]
    index = np.full(int(vocabulary.max()) + 1, -1, np.int64)
    index[vocabulary] = np.arange(len(vocabulary))
    while True:
        picked: list[tuple[int, EarlyExample]] = []
        for _ in range(size):
            at = 0 if rng.random() < TARGETS_OWN else len(sources) - 1
            picked.append((at, sources[at].examples[int(rng.integers(len(sources[at].examples)))]))
        longest = max(len(e.question) + len(e.answer) for _, e in picked) - 1
        tokens = np.zeros((size, longest), np.int64)
        wanted = np.full((size, longest), -1, np.int64)
        previous = np.zeros((size, words), np.int64)
        known = np.zeros((size, words, 1), np.float32)
        for row, (at, example) in enumerate(picked):
            text = (*example.question, *example.answer)
            tokens[row, : len(text) - 1] = text[:-1]
            start = len(example.question) - 1
            spots = np.minimum(example.answer, len(index) - 1)
            wanted[row, start : len(text) - 1] = np.where(spots == example.answer, index[spots], -1)
            before = recalled(example, said[at][example.question], rng)[:words]
            previous[row, : len(before)] = before
            known[row, : len(before)] = 1
        counts = np.stack([sources[at].counts[e.clip] for at, e in picked]).astype(np.float32)
        told = np.stack([sources[at].told[e.clip] for at, e in picked]).astype(np.int64)
        arrays = (torch.from_numpy(a) for a in (counts, told, previous, known, tokens, wanted))
        yield EarlyBatch(*arrays)


def answers_by_question(examples: Sequence[EarlyExample]) -> dict[Words, list[Words]]:
    """All answers to each question."""
    said: dict[Words, list[Words]] = {}
    for example in examples:
        said.setdefault(example.question, []).append(example.answer)
    return said


def recalled(example: EarlyExample, said: Sequence[Words], rng: np.random.Generator) -> Words:
    """What the drafter is told of the last answer: that answer, nothing, or one of those that were
    `said` about any scene.
    """
    luck = rng.random()
    if luck < FORGOTTEN:
        return ()
    return said[int(rng.integers(len(said)))] if luck < FORGOTTEN + MISLED else example.previous


def train_early(
    early: Early,
    probe: EventProbe,
    batches: Iterator[EarlyBatch],
    table: Tensor,
    spec: EarlyTraining,
    phase: Phase,
) -> None:
    """Next-token cross-entropy behind the question, and what the event tokens must go on saying."""
    senses = early.memory

    def loss_of(batch: EarlyBatch) -> tuple[Tensor, dict[str, float]]:
        with fast_products(batch.counts.device):
            events = senses.encoder(batch.counts)
            memory = senses.memory(events, table[batch.previous] * batch.known)
            logits = teacher_forced(early, table[batch.tokens], memory).float()
        told, seen = probe.loss(events, batch.told)
        at = batch.wanted >= 0
        right = (logits.argmax(-1) == batch.wanted)[at].float().mean().item()
        said = F.cross_entropy(logits[at], batch.wanted[at])
        return said + PROBED * told, {"said": said.item(), "right": right, **seen}

    groups = [{"params": [*early.parameters(), *probe.parameters()], "lr": spec.rate}]
    phase.run(groups, spec.steps, batches, loss_of, state={"probe": probe})


def teacher_forced(early: Early, embedding: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
    """Logits of all rows at once. [B, L, D] -> [B, L, V]"""
    batch, length = embedding.shape[:2]
    rows = torch.arange(length)
    mask = torch.where(rows[None] <= rows[:, None], 0.0, MASKED)
    heads, width = memory[0].shape[1], memory[0].shape[3]
    none = embedding.new_zeros(batch, 0, heads, width)
    logits: Tensor = early.head(embedding, rows, none, none, mask, *memory).logits
    return logits


def train_early_drafter(run: Run) -> Path:
    """Ask the exported target about streams, invent further ones; train the event encoder on what
    changes in them, then all of the drafter on the answers.

    Raises:
        TrainingError: the recipe has no early drafter, or target or drafter are not trained yet.
    """
    recipe = run.recipe
    if recipe.early is None or recipe.early_training is None:
        raise TrainingError(f"recipe {recipe.name} has no [early] and [early_training] tables")
    run.require_alone("the early drafter")
    torch.manual_seed(SEED)
    pair, tokenizer_json = load_target(recipe, run.cache)
    spec, width, prompt = recipe.early_training, pair.width, Prompt(pair.words, pair.prompt)

    def kept(name: str, first: int, count: int, make: Callable[[], Answers]) -> EarlyExamples:
        path = run.folder / f"{name}.npz"
        if not (run.resume and path.is_file()):
            run.folder.mkdir(parents=True, exist_ok=True)
            seeds = range(first, first + count)
            gather(
                seeds, spec.clips, recipe, prompt, make(), lambda n: run.report(name, n, count, {})
            ).save(path)
        return EarlyExamples.load(path)

    def asking() -> Answers:
        return targets_answers(collector_of(run, pair, tokenizer_json))

    end = pair.info.end_tokens[0]
    sources = [
        kept("answered", ANSWERED_FROM, spec.streams, asking),
        kept("invented", INVENTED_FROM, spec.invented, lambda: true_answers(prompt, end)),
    ]
    drafter, vocabulary = load_drafter(recipe, recipe.folder / recipe.drafter.trained, width)
    early = Early(recipe.early, recipe.drafter, width, len(vocabulary))
    table = embeddings(pair)
    early.begin(table, drafter.encoder)
    encoder = early.memory.encoder
    seen = event_batches([(s.counts, s.told) for s in sources], spec.batch)
    probe = EventProbe(recipe.drafter.event_hidden)
    train_encoder(encoder, probe, seen, spec, run.phase("early-encoder", encoder))
    batches = early_batches(sources, recipe.early.previous, vocabulary, spec.batch)
    train_early(early, probe, batches, table, spec, run.phase("early", early))
    return run.write(in_half(early), recipe.early.trained)
