"""What all rows are taught with: one collection, one alignment, the same batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsd_edge.errors import TrainingError
from xsd_edge.export.cached import cached
from xsd_edge.export.networks import draft_head_network
from xsd_edge.export.onnx_graph import join, write_graph
from xsd_edge.export.pair import load_target
from xsd_edge.export.quantize import pack_blocks
from xsd_edge.models.drafter import Drafter
from xsd_edge.recipe import Recipe
from xsd_edge.training.ablation.corpus import Corpus, scenes_of
from xsd_edge.training.ablation.rows import Row
from xsd_edge.training.ablation.variant import Lessons, Variant, train_variant
from xsd_edge.training.alignment import Meanings, scene_batches, train_alignment
from xsd_edge.training.bench import SEED, Run, collector_of, embeddings, meanings
from xsd_edge.training.drafter import draft_vocabulary


def shortened(recipe: Recipe) -> Recipe:
    """The recipe whose drafter trains as long as a row.

    Raises:
        TrainingError: it does not say how long that is.
    """
    if recipe.ablation is None or recipe.early is None:
        raise TrainingError(f"recipe {recipe.name} has no [early] and [ablation] tables")
    spec = recipe.ablation
    own = replace(
        recipe.drafter_training,
        steps=spec.steps,
        align_steps=spec.align_steps,
        batch=spec.batch,
    )
    return replace(recipe, drafter_training=own)


class School:
    """What all rows are taught with, in a run's folder."""

    def __init__(
        self, run: Run, recipe: Recipe, corpus: Corpus, table: Tensor, means: Meanings
    ) -> None:
        self.run, self.recipe, self.corpus, self.table = run, recipe, corpus, table
        self.vocabulary: NDArray[np.int64] = draft_vocabulary(corpus.answers)
        assert recipe.early is not None
        self.lessons = Lessons(corpus, self.vocabulary, table, recipe.early.previous)
        torch.manual_seed(SEED)
        self.aligned = Drafter(recipe.drafter, table.shape[1], 1)
        phase = run.phase("align", self.aligned.encoder, self.aligned.alignment)
        if run.resume and phase.finished(recipe.drafter_training.align_steps):
            phase.load()
            return
        drawn, cells = list(scenes_of(recipe)), recipe.drafter.event_cells
        clips = scene_batches(corpus.answers.counts, drawn, means, cells)
        train_alignment(self.aligned, clips, means.scale, recipe.drafter_training, phase)

    @classmethod
    def opened(cls, run: Run, recipe: Recipe) -> School:
        """Collect what the target says about streams, or take what was collected."""
        pair, tokenizer_json = load_target(recipe, run.cache)
        corpus = Corpus.load(run.folder) if run.resume else None
        if corpus is None:
            spec = recipe.ablation
            assert spec is not None
            count = spec.streams
            collector = collector_of(run, pair, tokenizer_json)
            corpus = Corpus.collected(
                collector, recipe, lambda done: run.report("collect", done, count, {})
            )
            corpus.save(run.folder)
        return cls(run, recipe, corpus, embeddings(pair), meanings(pair, recipe))

    def trained(self, row: Row) -> Variant:
        """A row's networks, taught."""
        torch.manual_seed(SEED)
        variant = Variant(row, self.recipe, self.table.shape[1], len(self.vocabulary))
        variant.begin(self.corpus, self.table, self.aligned)
        phase = self.run.phase(row.name, variant)
        if self.run.resume and phase.finished(self.recipe.drafter_training.steps):
            phase.load()
        else:
            train_variant(variant, self.lessons, self.table, self.recipe, phase)
        return variant.eval()

    def graph(self, variant: Variant) -> Path:
        """A row's head as a CPU's bundles have it: its cache inside, its weights in INT4 blocks."""
        folder = self.run.folder / "heads" / variant.row.name
        folder.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            tokens = variant(self.lessons.batch(np.zeros(1, np.int64)).seen)[0].shape[2]
        spec, width = self.recipe.drafter, self.table.shape[1]
        network = cached(draft_head_network(variant.head, spec, width, tokens), self.vocabulary)
        write_graph(network, folder / "split.onnx")
        join(folder / "split.onnx", folder / "fp32.onnx")
        pack_blocks(folder / "fp32.onnx", folder / "int4_blocks.onnx")
        return folder / "int4_blocks.onnx"
