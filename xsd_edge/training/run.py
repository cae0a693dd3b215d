"""`xsd-edge train`: the two recipes from nothing to the safetensors files that export reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.assets import fetch_base
from xsd_edge.errors import TrainingError
from xsd_edge.export.target import export_target
from xsd_edge.models.base_model import load_base
from xsd_edge.models.drafter import Drafter
from xsd_edge.models.target import TrainedPart, add_low_rank, build_target
from xsd_edge.models.trained import CONTEXT, target_info, trained_target
from xsd_edge.recipe import Recipe
from xsd_edge.training import drafter as drafting
from xsd_edge.training import scenes
from xsd_edge.training import target as seeing
from xsd_edge.training.distill import Collector, Distilled, collect
from xsd_edge.training.loop import Phase, save_atomically

Report = Callable[[str, int, int, dict[str, float]], None]
SEEDS = {"target": 1, "drafter": 2}  # of torch's generator, per command
DISTILLED_FROM = 50_000_000  # first scene seed that the drafter learns from


def train_target(recipe: Recipe, folder: Path, resume: bool, report: Report, cache: Path) -> Path:
    """Train tower, projector and low-rank updates; returns the written `TrainedPart` file."""
    torch.manual_seed(SEEDS["target"])
    base = load_base(fetch_base(recipe.base, cache))
    words = Tokenizer.from_str(base.tokenizer_json)
    model = build_target(recipe.target, base.config, base.tensors).train()

    def phase(name: str) -> Phase:
        return Phase(name, folder, {"model": model}, resume, report)

    seeing.train_tower(model, recipe, phase("tower"))
    seeing.train_projector(model, recipe, words, phase("projector"))
    add_low_rank(model, recipe.target.low_rank)
    end = base.config.eos_token_id
    assert isinstance(end, int)
    seeing.train_language(model, recipe, words, end, phase("language"))
    written = recipe.folder / recipe.target.trained
    save_atomically(TrainedPart.of(model).tensors, written)
    return written


def train_drafter(recipe: Recipe, folder: Path, resume: bool, report: Report, cache: Path) -> Path:
    """Collect from the exported target, then train encoder, alignment, head and predictor."""
    torch.manual_seed(SEEDS["drafter"])
    model, words, tokenizer_json = trained_target(recipe, cache)
    seeds = range(DISTILLED_FROM, DISTILLED_FROM + recipe.drafter_training.scenes)
    kept = folder / "distilled.npz"
    if not (resume and kept.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        graph = export_target(model, tokenizer_json, folder / "target", context=CONTEXT).graph
        collector = Collector(model, graph, target_info(recipe, model), words, recipe)
        count = len(seeds)
        questions = recipe.drafter_training.questions
        collected = collect(
            collector, recipe, seeds, questions, lambda done: report("collect", done, count, {})
        )
        collected.save(kept)
    data = Distilled.load(kept)

    table = model.model.language_model.get_input_embeddings().weight.detach().float()
    vocabulary = drafting.draft_vocabulary(data)
    drafter = Drafter(recipe.drafter, table.shape[1], len(vocabulary))
    _level(drafter, data, table)
    examples = drafting.Examples(data, vocabulary, len(table))

    def phase(name: str, *modules: nn.Module) -> Phase:
        return Phase(name, folder, {str(i): m for i, m in enumerate(modules)}, resume, report)

    seen = (drafter.encoder, drafter.alignment)
    drafting.train_alignment(
        drafter, data, seeds, meanings(model, words, recipe), recipe, phase("align", *seen)
    )
    drawn = (*seen, drafter.memory, drafter.head)
    drafting.train_head(drafter, examples, table, recipe, phase("draft", *drawn))
    drafting.train_predictor(drafter, examples, table, recipe, phase("accept", drafter.predictor))
    written = recipe.folder / recipe.drafter.trained
    tensors: dict[str, Tensor] = {
        k: v.detach().to(torch.float16) for k, v in drafter.state_dict().items()
    }
    tensors["draft_vocabulary"] = torch.from_numpy(vocabulary).to(torch.int32)
    save_atomically(tensors, written)
    return written


def meanings(
    model: VideoLlavaForConditionalGeneration, words: Tokenizer, recipe: Recipe
) -> drafting.Meanings:
    """Embeddings of the words for shapes, sizes, directions, speeds and event cells."""
    cells = recipe.drafter.event_side // recipe.drafter.event_patch
    kinds = (*scenes.SHAPES, *scenes.SIZES, *scenes.DIRECTIONS, *scenes.SPEEDS, "nothing")

    def word(text: str) -> Tensor:
        return seeing.word_embedding(model, words, text)

    numbers = [word(n) for n in ("one", "two", "three", "four", "five", "six", "seven", "eight")]
    if cells > len(numbers):
        raise TrainingError(f"an event grid of {cells} cells a side has no words; use up to 8")
    row, column = word("row"), word("column")
    places = torch.stack([row + y + column + x for y in numbers[:cells] for x in numbers[:cells]])
    return drafting.Meanings({kind: word(kind) for kind in kinds}, places / 4)


def _level(drafter: Drafter, data: Distilled, table: Tensor) -> None:
    """Scale the head's first layers so that embeddings and hidden states enter at unit size."""
    states = torch.from_numpy(data.examples[0].hidden).float()
    with torch.no_grad():
        drafter.head.from_hidden.weight /= states.std()
        drafter.head.from_embedding.weight /= table.std()
