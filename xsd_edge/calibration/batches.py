"""What every small network reads while clips are answered, for calibration and for parity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.bundle import ClipInfo, TargetInfo
from xsd_edge.calibration.clips import Clip
from xsd_edge.models.drafter import MASKED, Drafter, DraftHead
from xsd_edge.models.early import Early
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.video.preprocess import pixels
from xsd_edge.world.scenes import DESCRIBE
from xsd_edge.world.spec import World

Feeds: TypeAlias = dict[str, NDArray[Any]]

NO_WORDS: Final = np.zeros(0, np.int32)
DRAFTED = 3  # rows that a head drafts on its own, per clip


class Pair(NamedTuple):
    """The models in float32, what reads and writes their text, and what they are shown."""

    name: str  # of the recipe, and of its calibration set
    target: VideoLlavaForConditionalGeneration
    info: TargetInfo
    words: Tokenizer
    prompt: str
    clip: ClipInfo
    world: World
    drafter: Drafter | None = None  # None: nobody has trained one
    vocabulary: NDArray[np.int32] = NO_WORDS  # [Vd] token ids that the draft head can say
    early: Early | None = None

    @property
    def width(self) -> int:
        """D, the target's hidden size."""
        return self.info.hidden


class Reading(NamedTuple):
    """The target's way through one clip and its question. Rows after the visual tokens: n."""

    asked: list[int]  # tokens of the question
    said: list[int]  # and of the answer, if anybody knows it
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
    images = frames_of(pair, clip.frames)
    yield "vision", as_feeds(pixels=images)
    if pair.drafter is not None:
        yield from drafter_feeds(pair, pair.drafter, clip, images)


def drafter_feeds(
    pair: Pair, drafter: Drafter, clip: Clip, images: Tensor
) -> Iterator[tuple[str, Feeds]]:
    """What all parts of the drafter read."""
    counts = torch.from_numpy(clip.counts(pair.clip))[None]
    yield "event_encoder", as_feeds(events=counts)
    features = drafter.encoder(counts)
    yield "alignment", as_feeds(features=features)
    aligned = drafter.alignment(features)
    yield "event_memory", as_feeds(aligned=aligned)
    reading = read(pair, images, clip)
    memory = drafter.memory(aligned)
    for feeds in draft_feeds(pair, drafter.head, reading, memory):
        yield "draft_head", feeds
    yield "acceptance_predictor", as_feeds(hidden=reading.hidden[:, -1], aligned=aligned)
    if pair.early is not None:
        yield from early_feeds(pair, pair.early, reading, counts)


def frames_of(pair: Pair, frames: NDArray[np.uint8]) -> Tensor:
    """What the vision tower reads of frames [n, H, W, 3]. [n, 3, S, S]"""
    return torch.from_numpy(np.concatenate([pixels(frame, pair.clip) for frame in frames]))


@torch.no_grad()
def prompts(pair: Pair, clips: Iterable[Clip]) -> list[Tensor]:
    """Each clip's exchange, and its caption where it has one, as embeddings. [rows, D]"""
    found = []
    for clip in clips:
        visual = visual_of(pair, frames_of(pair, clip.frames))
        for question, answer in sorted({(clip.question, clip.answer), (DESCRIBE, clip.caption)}):
            found.append(prompt_of(pair, visual, question, answer).inputs[0])
    return found


class Exchange(NamedTuple):
    """What the target's language model reads of a clip and an exchange about it."""

    asked: list[int]  # tokens of the question
    said: list[int]  # and of the answer, if anybody knows it
    inputs: Tensor  # [1, rows, D] the whole prompt, and the answer as far as it is known


def prompt_of(pair: Pair, visual: Tensor, question: str, answer: str) -> Exchange:
    """`answer` is empty where nobody knows it."""
    prompt = Prompt(pair.words, pair.prompt)
    said = prompt.tokens(f" {answer}") if answer else []
    asked = prompt.asked(question)
    table = pair.target.get_input_embeddings()
    start = table(torch.tensor([prompt.before]))
    return Exchange(
        asked, said, torch.cat([start, visual, table(torch.tensor([[*asked, *said]]))], 1)
    )


def visual_of(pair: Pair, images: Tensor) -> Tensor:
    """A clip's frames as the language model reads them. [1, frames * tokens_per_frame, D]"""
    visual: Tensor = pair.target.model.get_video_features(images[None]).pooler_output
    return visual.reshape(1, -1, visual.shape[-1])


@torch.no_grad()
def read(pair: Pair, images: Tensor, clip: Clip) -> Reading:
    """Run the target in float32 over a clip's frames and exchange."""
    asked, said, inputs = prompt_of(pair, visual_of(pair, images), clip.question, clip.answer)
    tokens = [*asked, *said]
    states = pair.target.model.language_model(inputs_embeds=inputs, use_cache=False)
    hidden = states.last_hidden_state[:, -len(tokens) :]
    chosen = int(pair.target.lm_head(hidden[:, -1]).argmax())
    return Reading(asked, said, hidden, torch.tensor([*tokens[1:], chosen]))


def draft_feeds(
    pair: Pair, head: DraftHead, reading: Reading, memory: tuple[Tensor, Tensor]
) -> Iterator[Feeds]:
    """The draft head's passes: one over all verified rows, then single rows on its own features."""
    table = pair.target.get_input_embeddings()
    embedded = table(reading.following)[None]
    cache = torch.zeros(2, 1, 0, head.heads, memory[0].shape[-1])
    feature = torch.zeros(1, embedded.shape[1], head.norm4.weight.shape[0])
    hidden = reading.hidden
    for _ in range(1 + DRAFTED):
        inputs = {
            "embedding": embedded,
            "hidden": hidden,
            "feature": feature,
            **_behind(cache, embedded.shape[1], memory),
        }
        yield as_feeds(**inputs)
        step = head(*inputs.values())
        cache = torch.cat([cache, torch.stack([step.keys, step.values])], 2)
        embedded, hidden = _drafted(pair, step.logits), torch.zeros_like(hidden[:, -1:])
        feature = step.feature_out[:, -1:]


def early_feeds(
    pair: Pair, early: Early, reading: Reading, counts: Tensor
) -> Iterator[tuple[str, Feeds]]:
    """The early drafter's passes, the clip's answer standing for the previous one."""
    table = pair.target.get_input_embeddings()
    places = early.memory.memory.word_places.shape[0]
    words = table(torch.tensor([reading.said[:places]], dtype=torch.long))
    previous = torch.zeros(1, places, words.shape[-1])
    previous[:, : words.shape[1]] = words
    yield "early_memory", as_feeds(events=counts, previous=previous)
    memory = early.memory(counts, previous)
    embedded = table(torch.tensor([reading.asked]))
    cache = torch.zeros(2, 1, 0, memory[0].shape[1], memory[0].shape[-1])
    for _ in range(1 + DRAFTED):
        inputs = {"embedding": embedded, **_behind(cache, embedded.shape[1], memory)}
        yield "early_head", as_feeds(**inputs)
        step = early.head(*inputs.values())
        cache = torch.cat([cache, torch.stack([step.keys, step.values])], 2)
        embedded = _drafted(pair, step.logits)


def _behind(cache: Tensor, rows: int, memory: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """What every head reads beside its rows: positions, past, mask and memory."""
    past = cache.shape[2]
    return {
        "position": torch.arange(past, past + rows),
        "past_keys": cache[0],
        "past_values": cache[1],
        "mask": torch.full((rows, past + rows), MASKED).triu(past + 1),
        "memory_keys": memory[0],
        "memory_values": memory[1],
    }


def _drafted(pair: Pair, logits: Tensor) -> Tensor:
    """The embedding of the likeliest token. [1, m, Vd] -> [1, 1, D]"""
    token = int(pair.vocabulary[int(logits[0, -1].argmax())])
    embedded: Tensor = pair.target.get_input_embeddings()(torch.tensor([[token]]))
    return embedded


def as_feeds(**inputs: Tensor) -> Feeds:
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in inputs.items()}
