"""A tiny pair that `train` can be run on: a recipe file, a base model in a cache of its own."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from transformers import LlamaForCausalLM
from typer.testing import CliRunner

from tests.export.conftest import LANGUAGE, byte_tokenizer, smallest_recipe
from xsd_edge.cli import app
from xsd_edge.models.target import TrainedPart, add_low_rank, build_target
from xsd_edge.recipe import Recipe
from xsd_edge.world.spec import RICH


def in_process(
    *arguments: str | Path, cache: Path, threads: int = 1
) -> subprocess.CompletedProcess[str]:
    """`xsd-edge ARGUMENTS` in this process, which spares it loading torch once more."""
    before, asked_to_stop = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    torch.set_num_threads(threads)
    try:
        done = CliRunner().invoke(
            app, [*map(str, arguments)], env={"XSD_EDGE_CACHE": str(cache)}, catch_exceptions=False
        )
    finally:
        torch.set_num_threads(before)
        signal.signal(signal.SIGTERM, asked_to_stop)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


class TinyPair(NamedTuple):
    """Where the recipe lies, and what XSD_EDGE_CACHE must be."""

    recipe: Path
    cache: Path


def write_recipe(recipe: Recipe, path: Path) -> None:
    """The TOML that loads as this recipe."""
    lines = [f"name = {json.dumps(recipe.name)}"]
    for part in fields(recipe):
        table = getattr(recipe, part.name)
        if is_dataclass(table):
            lines.append(f"[{part.name}]")
            lines += [f"{f.name} = {_toml(getattr(table, f.name))}" for f in fields(table)]
    path.write_text("\n".join(lines) + "\n")


def _toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def tiny_recipe(folder: Path) -> Recipe:
    """The smallest one, in the rich world, with phases that take seconds."""
    smallest = smallest_recipe(folder)
    return replace(
        smallest,
        name="tiny",
        drafter=replace(smallest.drafter, gamma_max=3),
        drafter_training=replace(
            smallest.drafter_training,
            scenes=6,
            questions=1,
            align_steps=4,
            steps=8,
            batch=4,
            feedback=2,
            predictor_steps=4,
        ),
        early_training=None,
        world=RICH,
    )


def write_pair(place: Path) -> TinyPair:
    """A base model at random, and a target as if it had been trained."""
    torch.manual_seed(0)
    recipe = tiny_recipe(place / "recipe")
    weights = recipe.folder / recipe.target.trained
    weights.parent.mkdir(parents=True)
    snapshot = place / "cache" / "nobody--tiny"
    snapshot.mkdir(parents=True)
    base = LlamaForCausalLM(LANGUAGE).state_dict()
    del base["lm_head.weight"]
    save_file(base, snapshot / "model.safetensors")
    LANGUAGE.save_pretrained(snapshot)
    byte_tokenizer().save(str(snapshot / "tokenizer.json"))
    target = build_target(recipe.target, LANGUAGE, base)
    add_low_rank(target, recipe.target.low_rank)
    save_file(TrainedPart.of(target).tensors, weights)
    write_recipe(recipe, recipe.folder / "tiny.toml")
    return TinyPair(recipe.folder / "tiny.toml", place / "cache")
