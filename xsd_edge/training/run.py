"""`xsd-edge train`: from nothing to the safetensors files that export reads, phase by phase."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig

from xsd_edge.assets import fetch_base
from xsd_edge.export.pair import clip_shown, load_target
from xsd_edge.models.base_model import load_base
from xsd_edge.models.drafter import Drafter
from xsd_edge.models.target import TrainedPart, add_low_rank, build_target
from xsd_edge.models.trained import language_config, trained_target
from xsd_edge.recipe import Recipe
from xsd_edge.training import lessons
from xsd_edge.training import target as seeing
from xsd_edge.training.alignment import Seen, train_alignment
from xsd_edge.training.bench import SEED, Run, set_up
from xsd_edge.training.drafter import JointWeights
from xsd_edge.training.dsec import from_folder
from xsd_edge.training.loop import Phase
from xsd_edge.training.paired import Windows, from_video

TARGET_SEED = 1  # of torch's generator
DSEC_WINDOW_US = 50_000  # what event networks for DSEC look at


def train_target(run: Run) -> Path:
    """Train tower, projector and low-rank updates; returns the written `TrainedPart` file."""
    recipe = run.own_recipe("train target")
    run.require_alone("the target")
    torch.manual_seed(TARGET_SEED)
    base = load_base(fetch_base(recipe.base, run.cache))
    words = Tokenizer.from_str(base.tokenizer_json)
    model = build_target(recipe.target, base.config, base.tensors).train()

    def phase(name: str) -> Phase:
        return Phase(name, run.folder, {"model": model}, run.resume, run.report, run.save_every_s)

    seeing.train_tower(model, recipe, phase("tower"))
    seeing.train_projector(model, recipe, words, phase("projector"))
    add_low_rank(model, recipe.target.low_rank)
    seeing.train_language(model, recipe, words, _end(base.config), phase("language"))
    return run.write(TrainedPart.of(model).tensors, recipe.target.trained)


def train_places(run: Run) -> Path:
    """Teach the trained target where things are; its written file is replaced by the new one."""
    recipe = run.own_recipe("train places")
    spec = recipe.target_training
    return _teach(run, recipe, lessons.PLACES, spec.patch_places_steps, spec.places_steps)


def train_things(run: Run) -> Path:
    """Teach the trained target to tell several things apart; its file is replaced likewise."""
    recipe = run.own_recipe("train things")
    spec = recipe.target_training
    return _teach(run, recipe, lessons.THINGS, spec.patch_things_steps, spec.things_steps)


def _teach(
    run: Run, recipe: Recipe, lesson: lessons.Lesson, patch_steps: int, talk_steps: int
) -> Path:
    run.require_alone("the target")
    torch.manual_seed(TARGET_SEED)
    model, words, _ = trained_target(recipe, run.cache, merged=False)
    model.train()
    config = language_config(model)
    probe = lessons.LookProbe(recipe, config.hidden_size, lesson.looks)
    student = lessons.Student(model, probe, recipe, words)
    patches = run.phase(f"patch-{lesson.name}", model, probe)
    lessons.teach_patches(student, lesson, patch_steps, patches)
    lessons.teach_talk(student, lesson, talk_steps, _end(config), run.phase(lesson.name, model))
    return run.write(TrainedPart.of(model).tensors, recipe.target.trained)


def _end(config: LlamaConfig) -> int:
    end = config.eos_token_id
    assert isinstance(end, int)
    return end


def train_drafter(run: Run) -> Path:
    """Collect from the exported target, then train encoder, alignment, head and predictor."""
    bench = set_up(run, anew=not run.resume)
    bench.align()
    bench.draft()
    bench.accept()
    return bench.write()


def train_align(run: Run, loss: str) -> Path:
    """Collect, and align on scenes; returns the phase's checkpoint."""
    set_up(run, anew=not run.resume).align(loss)
    return run.phase("align").checkpoint


def train_align_on(
    run: Run, videos: Iterable[Path], folders: Iterable[Path], window_us: int | None, loss: str
) -> Path:
    """Align on recordings of the user's own; returns the phase's checkpoint.

    A window is as long as the target's clip for videos and 50 ms for folders, if not said.

    Raises:
        TrainingError: a recording cannot be used.
    """
    spec, clip = run.recipe.drafter, clip_shown(run.recipe)
    clip_us, short_us = window_us or clip.duration_us, window_us or DSEC_WINDOW_US
    readings = [
        *((clip_us, from_video(path, clip_us, spec.event_side)) for path in videos),
        *((short_us, from_folder(path, short_us)) for path in folders),
    ]
    windows = Windows.joined([Windows.of(found, length, clip) for length, found in readings])
    torch.manual_seed(SEED)
    pair, _ = load_target(run.recipe, run.cache)
    seen = Seen.by(pair, windows)
    drafter = Drafter(spec, pair.width, 1).to(run.workers.device)
    phase = run.phase("align", drafter.encoder, drafter.alignment)
    batches, training = seen.batches(spec.event_cells), run.drafter_training
    train_alignment(drafter, batches, seen.scale, training, phase, loss)
    return phase.checkpoint


def train_draft(run: Run, loss: str) -> Path:
    """Train the head behind a trained alignment; returns the phase's checkpoint."""
    bench = set_up(run, anew=False)
    bench.load("align")
    bench.draft(loss)
    return run.phase("draft").checkpoint


def train_accept(run: Run) -> Path:
    """Train the predictor of a trained head; returns the drafter that export reads."""
    bench = set_up(run, anew=False)
    bench.load("draft")
    bench.accept()
    return bench.write()


def train_joint(run: Run, weights: JointWeights) -> Path:
    """Train all parts of a trained drafter together; returns the drafter that export reads."""
    bench = set_up(run, anew=False)
    bench.load("draft", "accept")
    bench.joint(weights)
    return bench.write()
