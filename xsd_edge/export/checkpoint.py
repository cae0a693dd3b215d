"""A published Video-LLaVA as the target of a bundle: fetched, compared with its recipe, loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import CLIPVisionConfig, VideoLlavaConfig

from xsd_edge.assets import fetch_checkpoint
from xsd_edge.bundle import ClipInfo, sha256_of
from xsd_edge.calibration.batches import Pair
from xsd_edge.checkpoint_recipe import CheckpointRecipe
from xsd_edge.errors import AssetError, RecipeError
from xsd_edge.models.trained import language_config, language_info
from xsd_edge.models.video_llava import load_video_llava, masked_tokens
from xsd_edge.runtime.prompt import FRAMES, QUESTION, Prompt

PROBE = "What happens?"  # a question whose tokens are compared


def load_checkpoint(
    recipe: CheckpointRecipe, cache: Path, report: Callable[[str], None]
) -> tuple[Pair, str]:
    """The target in float32, without a drafter; and its tokenizer's JSON.

    float32 takes four bytes a parameter, 28 GB for 7B, and the language model's builder, a process
    of its own, as much again.

    Raises:
        AssetError: the checkpoint cannot be had, is damaged, or splits prompts in another way.
        RecipeError: its sizes are not the recipe's.
    """
    folder = fetch_checkpoint(recipe.checkpoints.target, recipe.folder, cache)
    tokenizer_json = _read(folder / "tokenizer.json")
    words = Tokenizer.from_str(tokenizer_json)
    _require_shapes(folder, recipe)
    model, shared = load_video_llava(folder, torch.float32)
    report(
        f"towers: {shared.bytes_saved / 1e6:.0f} MB are the same in both and held once, "
        f"{len(shared.differing)} tensors differ"
    )
    config = language_config(model)
    masked = masked_tokens(model.config, recipe.language.words)
    info = language_info(config, recipe.language.context, "float32", masked)
    _require_prompt(folder, recipe, words, model.config.video_token_index)
    prompt = recipe.clip.prompt
    pair = Pair(recipe.name, model, info, words, prompt, clip_of(recipe), recipe.world)
    return pair, tokenizer_json


def checkpoint_hashes(recipe: CheckpointRecipe, cache: Path) -> dict[str, str]:
    """sha256 of the target's weights."""
    folder = fetch_checkpoint(recipe.checkpoints.target, recipe.folder, cache)
    weights = sorted(folder.glob("*.safetensors"))
    return {"target": " ".join(sha256_of(path) for path in weights)}


def clip_of(recipe: CheckpointRecipe) -> ClipInfo:
    """What the target is shown, and how a trained drafter sees the events."""
    clip, vision, drafter = recipe.clip, recipe.vision, recipe.drafter
    return ClipInfo(
        frames=clip.frames,
        image_side=vision.image_size,
        tokens_per_frame=vision.tokens,
        duration_us=clip.clip_us,
        image_mean=clip.image_mean,
        image_std=clip.image_std,
        resize="bicubic",
        event_side=drafter.event_side,
        event_bins=drafter.event_bins,
    )


def _require_shapes(folder: Path, recipe: CheckpointRecipe) -> None:
    """Before anything large is read."""
    try:
        config = VideoLlavaConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise AssetError(f"{folder} is not a Video-LLaVA checkpoint: {reason}") from error
    text, vision = config.get_text_config(), config.vision_config
    assert isinstance(vision, CLIPVisionConfig)
    said, spec = recipe.language, recipe.vision
    pairs = {
        "language.vocabulary": (said.vocabulary, text.vocab_size),
        "language.hidden": (said.hidden, text.hidden_size),
        "language.layers": (said.layers, text.num_hidden_layers),
        "language.heads": (said.heads, text.num_attention_heads),
        "vision.image_size": (spec.image_size, vision.image_size),
        "vision.patch_size": (spec.patch_size, vision.patch_size),
        "vision.hidden": (spec.hidden, vision.hidden_size),
        "vision.layers": (spec.layers, vision.num_hidden_layers),
    }
    wrong = [f"{key} is {has}, not {says}" for key, (says, has) in pairs.items() if says != has]
    if wrong:
        raise RecipeError(
            f"{folder} is another checkpoint than recipe {recipe.name} says: {', '.join(wrong)}; "
            "give it a recipe of its own"
        )


def _require_prompt(folder: Path, recipe: CheckpointRecipe, words: Tokenizer, video: int) -> None:
    """The device splits the words before and behind the frames each for themselves; the model has
    learnt from whole prompts with a placeholder in them.
    """
    prompt = Prompt(words, recipe.clip.prompt)
    found = [*prompt.before, video, *prompt.asked(PROBE)]
    whole = recipe.clip.prompt.replace(QUESTION, PROBE)
    if words.encode(whole).ids != found:
        raise AssetError(
            f"{folder}: its tokenizer does not split a prompt at {FRAMES}; "
            "give the tokenizer.json that belongs to the checkpoint"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AssetError(
            f"{path} cannot be read ({error}); give the checkpoint that the recipe names"
        ) from error
