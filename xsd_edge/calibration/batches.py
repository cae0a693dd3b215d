"""What every small network reads while clips are answered, for calibration and for parity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.bundle import ClipInfo
from xsd_edge.calibration.clips import Clip
from xsd_edge.models.drafter import MASKED, Drafter
from xsd_edge.recipe import Recipe
from xsd_edge.video.preprocess import pixels

Feeds: TypeAlias = dict[str, NDArray[Any]]

DRAFTED = 3  # rows drafted on the head's own features, per clip


class Pair(NamedTuple):
    """The two models in float32, and what reads and writes their text."""

    target: VideoLlavaForConditionalGeneration
    drafter: Drafter
    vocabulary: NDArray[np.int32]  # [Vd] token ids that the draft head can say
    words: Tokenizer
    recipe: Recipe
    clip: ClipInfo


class Reading(NamedTuple):
    """The target's way through one clip and its question. Rows after the visual tokens: n."""

    inputs: Tensor  # [1, rows, D] the whole prompt, and the answer as far as it is known
    hidden: Tensor  # [1, n, D] states after the final norm, of the rows behind the visual tokens
    following: (
        Tensor  # [n] the token that follows each of them; the last is the target's own choice
    )


def batches(pair: Pair, clips: Iterable[Clip]) -> dict[str, list[Feeds]]:
    """Inputs of each part, by its name, in the order of the clips."""
    found: dict[str, list[Feeds]] = {}
    for clip in clips:
        for part, feeds in clip_feeds(pair, clip):
            found.setdefault(part, []).append(feeds)
    return found


@torch.no_grad()
def clip_feeds(pair: Pair, clip: Clip) -> Iterator[tuple[str, Feeds]]:
    """What each part reads for one clip."""
    drafter = pair.drafter
    images = frames_of(pair, clip)
    yield "vision", _feeds(pixels=images)
    counts = torch.from_numpy(clip.counts(pair.recipe))[None]
    yield "event_encoder", _feeds(events=counts)
    features = drafter.encoder(counts)
    yield "alignment", _feeds(features=features)
    aligned = drafter.alignment(features)
    yield "event_memory", _feeds(aligned=aligned)
    reading = read(pair, images, clip)
    memory = drafter.memory(aligned)
    for feeds in draft_feeds(pair, reading, memory):
        yield "draft_head", feeds
    yield "acceptance_predictor", _feeds(hidden=reading.hidden[:, -1], aligned=aligned)


def frames_of(pair: Pair, clip: Clip) -> Tensor:
    """What the vision tower reads of a clip. [frames, 3, S, S]"""
    return torch.from_numpy(np.concatenate([pixels(frame, pair.clip) for frame in clip.frames]))


@torch.no_grad()
def read(pair: Pair, images: Tensor, clip: Clip) -> Reading:
    """Run the target in float32 over a clip's frames and exchange."""
    target = pair.target.model
    before, after = pair.recipe.target.prompt.split("<video>")
    said = pair.words.encode(f" {clip.answer}").ids if clip.answer else []
    tokens = [*pair.words.encode(after.format(question=clip.question)).ids, *said]
    table = target.get_input_embeddings()
    visual = target.get_video_features(images[None]).pooler_output
    parts = (
        table(torch.tensor([pair.words.encode(before).ids])),
        visual.reshape(1, -1, visual.shape[-1]),
        table(torch.tensor([tokens])),
    )
    inputs = torch.cat(parts, 1)
    states = target.language_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    hidden = states[:, -len(tokens) :]
    chosen = int(pair.target.lm_head(hidden[:, -1]).argmax())
    return Reading(inputs, hidden, torch.tensor([*tokens[1:], chosen]))


def draft_feeds(pair: Pair, reading: Reading, memory: tuple[Tensor, Tensor]) -> Iterator[Feeds]:
    """The draft head's passes: one over all verified rows, then single rows on its own features."""
    head, table = pair.drafter.head, pair.target.get_input_embeddings()
    embedded = table(reading.following)[None]
    rows = embedded.shape[1]
    cache = torch.zeros(2, 1, 0, head.heads, memory[0].shape[-1])
    feature = torch.zeros(1, rows, head.norm4.weight.shape[0])
    mask = torch.full((rows, rows), MASKED).triu(1)
    hidden = reading.hidden
    for _ in range(1 + DRAFTED):
        past, m = cache.shape[2], embedded.shape[1]
        inputs = {
            "embedding": embedded,
            "hidden": hidden,
            "feature": feature,
            "position": torch.arange(past, past + m),
            "past_keys": cache[0],
            "past_values": cache[1],
            "mask": mask,
            "memory_keys": memory[0],
            "memory_values": memory[1],
        }
        yield _feeds(**inputs)
        step = head(*inputs.values())
        cache = torch.cat([cache, torch.stack([step.keys, step.values])], 2)
        drafted = int(pair.vocabulary[int(step.logits[0, -1].argmax())])
        embedded, hidden = table(torch.tensor([[drafted]])), torch.zeros_like(hidden[:, -1:])
        feature, mask = step.feature_out[:, -1:], torch.zeros(1, past + m + 1)


def _feeds(**inputs: Tensor) -> Feeds:
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in inputs.items()}
