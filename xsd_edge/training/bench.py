"""What all phases of one drafter share: the run's place, the target's answers, words' meanings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from xsd_edge.calibration.batches import Pair
from xsd_edge.checkpoint_recipe import AnyRecipe
from xsd_edge.errors import TrainingError
from xsd_edge.export.pair import load_target
from xsd_edge.export.target import export_target
from xsd_edge.models.drafter import Drafter, DraftHead
from xsd_edge.recipe import DrafterTraining, Recipe
from xsd_edge.training import drafter as drafting
from xsd_edge.training.alignment import AlignBatch, Meanings, scene_batches, train_alignment
from xsd_edge.training.distill import Collector, Distilled, collect
from xsd_edge.training.loop import ALONE, Phase, save_atomically
from xsd_edge.training.target import word_embedding
from xsd_edge.training.workers import Workers
from xsd_edge.world.scenes import Scene
from xsd_edge.world.things import DIRECTIONS, SIZES, SPEEDS

Report = Callable[[str, int, int, dict[str, float]], None]
SEED = 2  # of torch's generator
DISTILLED_FROM = 50_000_000  # first scene seed that the drafter learns from


@dataclass(frozen=True, slots=True)
class Run:
    """What one command trains, where it keeps its state, and who works on it."""

    recipe: AnyRecipe
    folder: Path
    cache: Path
    resume: bool
    report: Report
    save_every_s: float = 120.0
    workers: Workers = ALONE

    def phase(self, name: str, *modules: nn.Module) -> Phase:
        return Phase(
            name,
            self.folder,
            {str(number): module for number, module in enumerate(modules)},
            self.resume,
            self.report,
            self.save_every_s,
            self.workers,
        )

    def own_recipe(self, what: str) -> Recipe:
        """The recipe, where the target is trained here too.

        Raises:
            TrainingError: it names a published target.
        """
        if isinstance(self.recipe, Recipe):
            return self.recipe
        raise TrainingError(
            f"recipe {self.recipe.name} names a published target, so there is no {what} for it; "
            f"go on with: xsd-edge train drafter --recipe {self.recipe.name}"
        )

    @property
    def drafter_training(self) -> DrafterTraining:
        """How long the drafter's phases train.

        Raises:
            TrainingError: the recipe does not say.
        """
        if self.recipe.drafter_training is None:
            raise TrainingError(
                f"recipe {self.recipe.name} has no table [drafter_training]; "
                "copy the one of export/demo.toml"
            )
        return self.recipe.drafter_training

    def require_alone(self, what: str) -> None:
        """Refuse to share out what trains in one process.

        Raises:
            TrainingError: there are several workers.
        """
        if self.workers.count > 1:
            raise TrainingError(f"{what} trains in one process; start it without accelerate")

    def write(self, tensors: dict[str, Tensor], relative: str) -> Path:
        """Put a result where export looks for it; the first worker does."""
        written = self.recipe.folder / relative
        if not self.workers.rank:
            save_atomically(tensors, written)
        self.workers.wait()
        return written


@dataclass(frozen=True, slots=True)
class Bench:
    """What the drafter's phases work on: the drafter, what the target said, what words mean."""

    run: Run
    drafter: Drafter
    data: Distilled
    examples: drafting.Examples
    vocabulary: Tensor  # [Vd] int32 token ids
    table: Tensor  # [V, D] the target's embeddings, where the workers compute
    meanings: Meanings

    @property
    def spec(self) -> DrafterTraining:
        return self.run.drafter_training

    @property
    def cells(self) -> int:
        return self.run.recipe.drafter.event_cells

    def align(self, loss: str = "mse") -> None:
        batches = self._clips()
        scale, phase = self.meanings.scale, self.run.phase("align", *self._seeing())
        train_alignment(self.drafter, batches, scale, self.spec, phase, loss)

    def draft(self, loss: str = "kl+tv") -> None:
        phase = self.run.phase("draft", *self._drafting())
        drafting.train_head(self.drafter, self.examples, self.table, self.spec, phase, loss)

    def accept(self) -> None:
        phase = self.run.phase("accept", self.drafter.predictor)
        drafting.train_predictor(self.drafter, self.examples, self.table, self.spec, phase)

    def joint(self, weights: drafting.JointWeights) -> None:
        drafting.train_jointly(
            self.drafter,
            self.examples,
            self._clips(),
            self.meanings.scale,
            self.table,
            self.spec,
            self.run.phase("joint", self.drafter),
            weights,
        )

    def load(self, *names: str) -> None:
        """Take over what earlier phases left in the run's folder."""
        modules = {
            "align": self._seeing(),
            "draft": self._drafting(),
            "accept": (self.drafter.predictor,),
        }
        for name in names:
            self.run.phase(name, *modules[name]).load()

    def write(self) -> Path:
        """The trained drafter, in float16, with its vocabulary."""
        tensors = in_half(self.drafter)
        tensors["draft_vocabulary"] = self.vocabulary
        return self.run.write(tensors, self.run.recipe.drafter.trained)

    def _clips(self) -> Iterator[AlignBatch]:
        seeds, world = seeds_of(self.spec), self.run.recipe.world
        drawn = [Scene.from_seed(seed, world) for seed in seeds]
        return scene_batches(self.data.counts, drawn, self.meanings, self.cells)

    def _seeing(self) -> tuple[nn.Module, ...]:
        return self.drafter.encoder, self.drafter.alignment

    def _drafting(self) -> tuple[nn.Module, ...]:
        return *self._seeing(), self.drafter.memory, self.drafter.head


def set_up(run: Run, *, anew: bool) -> Bench:
    """Load the trained target, collect its answers (again, if `anew`), build an untrained drafter.

    Raises:
        TrainingError: the target has not been trained, or the collection cannot be kept.
    """
    recipe = run.recipe
    torch.manual_seed(SEED)
    pair, tokenizer_json = load_target(recipe, run.cache)
    kept = run.folder / "distilled.npz"
    if not run.workers.rank and (anew or not kept.is_file()):
        _collect(run, collector_of(run, pair, tokenizer_json)).save(kept)
    run.workers.wait()
    data = Distilled.load(kept)
    table = embeddings(pair)
    vocabulary = drafting.draft_vocabulary(data)
    drafter = Drafter(recipe.drafter, table.shape[1], len(vocabulary))
    level(drafter.head, data, table)
    return Bench(
        run,
        drafter.to(run.workers.device),
        data,
        drafting.Examples(data, vocabulary, len(table)),
        torch.from_numpy(vocabulary).to(torch.int32),
        table.to(run.workers.device),
        meanings(pair, recipe),
    )


def embeddings(pair: Pair) -> Tensor:
    """The target's table. [V, D] float32"""
    return pair.target.model.language_model.get_input_embeddings().weight.detach().float()


def seeds_of(spec: DrafterTraining) -> range:
    """The scenes that the drafter learns from."""
    return range(DISTILLED_FROM, DISTILLED_FROM + spec.scenes)


def in_half(module: nn.Module) -> dict[str, Tensor]:
    """A module's tensors as they are written: float16, on the CPU."""
    return {k: v.detach().to("cpu", torch.float16) for k, v in module.state_dict().items()}


def collector_of(run: Run, pair: Pair, tokenizer_json: str) -> Collector:
    """The target exported into the run's folder, ready to be asked."""
    folder, context = run.folder / "target", pair.info.context
    run.folder.mkdir(parents=True, exist_ok=True)
    written = export_target(pair.target, tokenizer_json, folder, context=context)
    return Collector(pair, written.graph)


def _collect(run: Run, collector: Collector) -> Distilled:
    spec = run.drafter_training
    seeds = seeds_of(spec)
    return collect(
        collector,
        run.recipe,
        seeds,
        spec.questions,
        lambda done: run.report("collect", done, len(seeds), {}),
    )


def meanings(pair: Pair, recipe: AnyRecipe) -> Meanings:
    """Embeddings of the words for shapes, sizes, directions, speeds and event cells."""
    cells = recipe.drafter.event_cells
    kinds = (*recipe.world.shapes, *SIZES, *DIRECTIONS, *SPEEDS, "nothing")

    def word(text: str) -> Tensor:
        return word_embedding(pair.target, pair.words, text)

    numbers = [word(n) for n in ("one", "two", "three", "four", "five", "six", "seven", "eight")]
    if cells > len(numbers):
        raise TrainingError(f"an event grid of {cells} cells a side has no words; use up to 8")
    row, column = word("row"), word("column")
    places = torch.stack([row + y + column + x for y in numbers[:cells] for x in numbers[:cells]])
    return Meanings({kind: word(kind) for kind in kinds}, places / 4)


def level(head: DraftHead, data: Distilled, table: Tensor) -> None:
    """Scale the head's first layers so that embeddings and hidden states enter at unit size."""
    states = torch.from_numpy(data.examples[0].hidden).float()
    with torch.no_grad():
        head.from_hidden.weight /= states.std()
        head.from_embedding.weight /= table.std()
