"""Video-LLaVA-7B as transformers has it: loading, what its towers share, which tokens it may say.

transformers' port is the architecture (`LanguageBind/Video-LLaVA-7B-hf`). Its towers lack the
original's temporal attention and hold nearly the same weights twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import VideoLlavaConfig, VideoLlavaForConditionalGeneration
from transformers.utils import logging

from xsd_edge.errors import AssetError

NAMED = 5  # of the keys that an error lists


class Shared(NamedTuple):
    """What two towers have in common."""

    bytes_saved: int
    differing: tuple[str, ...]  # parameters whose bytes differ; both are kept


class LoadedTarget(NamedTuple):
    """A target, and what its two towers were found to have in common."""

    model: VideoLlavaForConditionalGeneration
    shared: Shared


def load_video_llava(folder: Path, dtype: torch.dtype | None = None) -> LoadedTarget:
    """A checkpoint in the hub's layout (`language_model.model.*`) or transformers' own (`model.*`),
    in its own number type if no `dtype` is given.

    Equal tower weights are held once.

    Raises:
        AssetError: it is no Video-LLaVA, or parameters are missing or unknown; names them.
    """
    read: Any = VideoLlavaForConditionalGeneration.from_pretrained  # typed without its loading info
    logging.disable_progress_bar()  # who loads says so in their own way
    try:
        model, found = read(
            folder, output_loading_info=True, dtype=dtype or "auto", low_cpu_mem_usage=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise AssetError(f"{folder} is not a Video-LLaVA checkpoint: {reason}") from error
    require_all_keys(folder, found["missing_keys"], found["unexpected_keys"])
    shared = share_towers(model.model.image_tower, model.model.video_tower)
    return LoadedTarget(model.eval(), shared)


def require_all_keys(what: Path, missing: Iterable[str], unknown: Iterable[str]) -> None:
    """Raises AssetError that names the parameters which a checkpoint lacks or has too many."""
    for kind, keys in (("lacks", missing), ("has unknown", unknown)):
        names = sorted(keys)
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            raise AssetError(
                f"{what} {kind} {', '.join(names[:NAMED])}{more}; "
                "give the checkpoint that the recipe names"
            )


def share_towers(copy: nn.Module, original: nn.Module) -> Shared:
    """Let `copy` hold the tensors of `original` wherever both have the same bytes, in place."""
    kept = dict(original.named_parameters())
    saved, differing = 0, []
    for name, parameter in copy.named_parameters():
        twin = kept.get(name)
        if (
            twin is None
            or twin.dtype != parameter.dtype
            or not torch.equal(_raw(twin), _raw(parameter))
        ):
            differing.append(name)
        elif twin.data_ptr() != parameter.data_ptr():
            saved += parameter.nbytes
            parameter.data = twin.data
    return Shared(saved, tuple(differing))


def _raw(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's bytes: equal values are not enough, 0.0 equals -0.0."""
    return tensor.detach().contiguous().flatten().view(torch.uint8)


def sampled_frames(total: int, frames: int = 8) -> NDArray[np.int64]:
    """Which of a video's `total` frames the model sees: `np.arange(0, total, total / frames)`.

    As transformers documents the model; the original code's `linspace` takes others. A video that
    is shorter shows frames more than once. [frames]
    """
    assert total > 0
    return np.arange(frames, dtype=np.int64) * total // frames


def masked_tokens(config: VideoLlavaConfig, words: int) -> tuple[int, ...]:
    """Ids that are never said: placeholders, and the rows behind the tokenizer's `words` that only
    pad the vocabulary to a round number.
    """
    text = config.get_text_config()
    special = {config.image_token_index, config.video_token_index}
    padding = text.pad_token_id
    if padding is not None and padding not in (text.eos_token_id, text.bos_token_id):
        special.add(padding)
    return tuple(sorted(special | set(range(words, text.vocab_size))))
