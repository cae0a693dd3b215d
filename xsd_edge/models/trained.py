"""The trained target of a recipe, merged, and what a decoder must know of it."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, VideoLlavaForConditionalGeneration
from transformers.initialization import no_init_weights

from xsd_edge.assets import fetch_base
from xsd_edge.bundle import TargetInfo
from xsd_edge.errors import TrainingError
from xsd_edge.models.base_model import load_base
from xsd_edge.models.target import TrainedPart, add_low_rank, build_target
from xsd_edge.recipe import Recipe

CONTEXT = 512  # longest sequence of the demo target: prompt, 8 frames, question and answer


def trained_target(
    recipe: Recipe, cache: Path, merged: bool = True
) -> tuple[VideoLlavaForConditionalGeneration, Tokenizer, str]:
    """The target in float32, its tokenizer, and the tokenizer's JSON.

    Low-rank updates are merged into the weights, or stay apart, to go on learning.

    Raises:
        TrainingError: it has not been trained.
        AssetError: the base model cannot be had.
    """
    path = recipe.folder / recipe.target.trained
    if not path.is_file():
        raise TrainingError(
            f"{path} does not exist; train it with: xsd-edge train target --recipe {recipe.name}"
        )
    base = load_base(fetch_base(recipe.base, cache))
    with no_init_weights():  # all of it is read
        model = build_target(recipe.target, base.config, base.tensors)
    if not merged:
        add_low_rank(model, recipe.target.low_rank)
    TrainedPart(load_file(str(path))).into(model)
    return model.eval(), Tokenizer.from_str(base.tokenizer_json), base.tokenizer_json


def target_info(
    recipe: Recipe, model: VideoLlavaForConditionalGeneration, cache_dtype: str = "float32"
) -> TargetInfo:
    """What a decoder must know of this target."""
    masked = (recipe.target.image_token, recipe.target.video_token)
    return language_info(language_config(model), CONTEXT, cache_dtype, masked)


def language_info(
    config: LlamaConfig, context: int, cache_dtype: str, masked: tuple[int, ...] = ()
) -> TargetInfo:
    """The same of any Llama; `masked` are the tokens that it never says."""
    ends = config.eos_token_id
    return TargetInfo(
        layers=config.num_hidden_layers,
        kv_heads=config.num_key_value_heads or config.num_attention_heads,
        head_width=head_width(config),
        hidden=config.hidden_size,
        vocabulary=config.vocab_size,
        context=context,
        end_tokens=tuple(ends) if isinstance(ends, list) else (int(ends or 0),),
        masked_tokens=masked,
        cache_dtype=cache_dtype,
    )


def language_config(model: VideoLlavaForConditionalGeneration) -> LlamaConfig:
    config = model.config.text_config
    assert isinstance(config, LlamaConfig)
    return config


def head_width(config: LlamaConfig) -> int:
    return config.head_dim or config.hidden_size // config.num_attention_heads
