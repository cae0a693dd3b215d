"""`xsd-edge train ablate`: collect once, train every row, let all answer the same questions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsd_edge.bundle import Bundle, sha256_of
from xsd_edge.errors import TrainingError
from xsd_edge.export.networks import draft_head_network
from xsd_edge.export.onnx_graph import join, write_graph
from xsd_edge.export.quantize import pack_blocks
from xsd_edge.models.drafter import Drafter
from xsd_edge.models.trained import trained_target
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.drafter import DraftHead
from xsd_edge.runtime.engine import EngineOptions
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.session import Session
from xsd_edge.training.ablation.corpus import Corpus, scenes_of
from xsd_edge.training.ablation.measure import GAMMA, Arena, Competitor
from xsd_edge.training.ablation.rows import DEGRADED_TOO, ROWS, Row
from xsd_edge.training.ablation.table import write_text
from xsd_edge.training.ablation.totals import totals
from xsd_edge.training.ablation.variant import Lessons, Seen, Variant, train_variant
from xsd_edge.training.alignment import Meanings, scene_batches, train_alignment
from xsd_edge.training.bench import SEED, Run, cells_of, collector_of, meanings
from xsd_edge.training.drafter import draft_vocabulary
from xsd_edge.world.frame_camera import DEGRADED, SHARP
from xsd_edge.world.scenes import HELD_OUT

CAMERAS = {"sharp": SHARP, **DEGRADED}


def ablate(run: Run, bundle: Bundle, rows: tuple[Row, ...] = ROWS) -> dict[str, Any]:
    """The table as a document; what is finished in the run's folder is not done again on resume.

    Raises:
        TrainingError: the recipe has no ablation, or the bundle's target is not the recipe's.
        BundleError: the bundle is missing or damaged.
    """
    recipe = shortened(run.recipe)
    run.require_alone("the ablation")
    weights = sha256_of(recipe.folder / recipe.target.trained)
    if bundle.manifest.provenance["target"] != weights:
        raise TrainingError(
            f"{bundle.folder} has another target than recipe {recipe.name}; export it again"
        )
    school = School.opened(replace(run, recipe=recipe))
    trained = [school.trained(row) for row in rows if not row.lookup]
    session = Session(bundle)
    arena = Arena(session, recipe, school.table, recipe.world)
    competitors = [_ready(row, school, trained, bundle, session) for row in rows]
    costs = _costs(run, arena, competitors)
    spec = recipe.ablation
    assert spec is not None
    seeds = range(HELD_OUT, HELD_OUT + spec.judged_streams)
    found: dict[str, Any] = {}
    for condition, camera in CAMERAS.items():
        taking = [c for c in competitors if condition == "sharp" or c.row.name in DEGRADED_TOO]
        path = run.folder / "judged" / f"{condition}.jsonl"
        records = _records(path, [c.row.name for c in taking]) if run.resume else []
        done = {record["seed"] for record in records}
        for number, seed in enumerate(seeds, 1):
            if seed not in done:
                records.append(arena.stream(seed, spec.judged_clips, camera, taking))
                write_text(path, "".join(f"{json.dumps(record)}\n" for record in records))
            run.report(f"judge {condition}", number, len(seeds), {})
        found[condition] = totals(records)
    budget = {**asdict(spec), "gamma": GAMMA}
    return {"target": weights, "budget": budget, "c": costs, "conditions": found}


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

    def __init__(self, run: Run, corpus: Corpus, table: Tensor, means: Meanings) -> None:
        self.run, self.corpus, self.table = run, corpus, table
        self.vocabulary: NDArray[np.int64] = draft_vocabulary(corpus.answers)
        assert run.recipe.early is not None
        self.lessons = Lessons(corpus, self.vocabulary, table, run.recipe.early.previous)
        torch.manual_seed(SEED)
        self.aligned = Drafter(run.recipe.drafter, table.shape[1], 1)
        phase = run.phase("align", self.aligned.encoder, self.aligned.alignment)
        if run.resume and phase.finished(run.recipe.drafter_training.align_steps):
            phase.load()
            return
        drawn, cells = list(scenes_of(run.recipe)), cells_of(run.recipe)
        clips = scene_batches(corpus.answers.counts, drawn, means, cells)
        train_alignment(self.aligned, clips, means.scale, run.recipe, phase)

    @classmethod
    def opened(cls, run: Run) -> School:
        """Collect what the target says about streams, or take what was collected."""
        model, words, tokenizer_json = trained_target(run.recipe, run.cache)
        corpus = Corpus.load(run.folder) if run.resume else None
        if corpus is None:
            spec = run.recipe.ablation
            assert spec is not None
            count = spec.streams
            collector = collector_of(run, model, words, tokenizer_json)
            corpus = Corpus.collected(
                collector, run.recipe, lambda done: run.report("collect", done, count, {})
            )
            corpus.save(run.folder)
        table = model.model.language_model.get_input_embeddings().weight.detach().float()
        return cls(run, corpus, table, meanings(model, words, run.recipe))

    def trained(self, row: Row) -> Variant:
        """A row's networks, taught."""
        torch.manual_seed(SEED)
        variant = Variant(row, self.run.recipe, self.table.shape[1], len(self.vocabulary))
        variant.begin(self.corpus, self.table, self.aligned)
        phase = self.run.phase(row.name, variant)
        if self.run.resume and phase.finished(self.run.recipe.drafter_training.steps):
            phase.load()
        else:
            train_variant(variant, self.lessons, self.table, self.run.recipe, phase)
        return variant.eval()

    def graph(self, variant: Variant) -> Path:
        """A row's head as bundles have it: its weights in INT8 blocks."""
        folder = self.run.folder / "heads" / variant.row.name
        folder.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            tokens = variant(self._glimpse())[0].shape[2]
        spec, width = self.run.recipe.drafter, self.table.shape[1]
        network = draft_head_network(variant.head, spec, width, tokens)
        write_graph(network, folder / "split.onnx")
        join(folder / "split.onnx", folder / "fp32.onnx")
        pack_blocks(folder / "fp32.onnx", folder / "int8_blocks.onnx")
        return folder / "int8_blocks.onnx"

    def _glimpse(self) -> Seen:
        return self.lessons.batch(np.zeros(1, np.int64)).seen


def _ready(
    row: Row, school: School, trained: Iterable[Variant], bundle: Bundle, session: Session
) -> Competitor:
    if row.lookup:
        return Competitor(row, Lookup(), None)
    variant = next(v for v in trained if v.row == row)
    engine = OnnxEngine(school.graph(variant), EngineOptions(threads=1))
    embedding = np.asarray(np.load(bundle.named("embedding"), mmap_mode="r", allow_pickle=False))
    head = DraftHead(engine, session.manifest.drafter, embedding, school.vocabulary)
    return Competitor(row, head, variant)


def _costs(run: Run, arena: Arena, competitors: list[Competitor]) -> dict[str, float]:
    path = run.folder / "costs.json"
    if run.resume and path.is_file():
        found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return found
    found = arena.costs(competitors)
    write_text(path, json.dumps(found))
    return found


def _records(path: Path, rows: list[str]) -> list[dict[str, Any]]:
    """The streams that were judged already.

    Raises:
        TrainingError: they are of other rows.
    """
    if not path.is_file():
        return []
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if any(sorted(record["rows"]) != sorted(rows) for record in records):
        raise TrainingError(f"{path} judged other rows; delete it, it is made again")
    return records
