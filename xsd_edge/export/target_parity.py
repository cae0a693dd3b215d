"""Does the exported target say what PyTorch's says? Through transformers' own VideoLLaVA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import VideoLlavaForConditionalGeneration
from transformers.generation.utils import GenerateDecoderOnlyOutput

from xsd_edge.bundle import TargetInfo
from xsd_edge.calibration.batches import Feeds, Pair, frames_of
from xsd_edge.calibration.clips import Clip
from xsd_edge.errors import BundleError
from xsd_edge.export.parity import Arrays, compare
from xsd_edge.export.target import embedding_table
from xsd_edge.models.trained import language_config, language_info
from xsd_edge.runtime.cosines import row_cosines
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.prompt import Prompt

# These find a broken graph, they do not judge INT4: a wrong RoPE base gave 0.90 and 0.36 nats,
# where the right one gives 0.93 and 0.04.
LEAST_TOP1 = 0.8
MOST_DIVERGENCE = 0.15
LONGEST_ANSWER = 64
PROBE_ROWS = 12  # random rows through a language model that has nothing to say yet
NEVER = np.float32(-1e4)  # a logit; finite, so that divergences stay numbers

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether the target's graph says what PyTorch says; all but `greedy` after PyTorch's words.

    Judged by its choices, not by cosines: most of a logit row is words that nobody considers.
    """

    precision: str
    clips: int
    same_answers: int  # greedy answers that are equal to the last token
    tokens: int
    greedy: float  # share of PyTorch's greedy tokens that the graph has at the same place
    top1: float  # share of tokens that both choose alike
    divergence: float  # mean KL divergence of the graph's next-token distribution, in nats
    cosine_hidden: float  # mean
    cosine_logits: float

    def require(self) -> None:
        """Raises BundleError where the two choose differently too often."""
        if not (self.top1 >= LEAST_TOP1 and self.divergence <= MOST_DIVERGENCE):
            raise BundleError(
                f"target in {self.precision} does not answer as PyTorch does: {self.top1:.1%} "
                f"of tokens equal (needed {LEAST_TOP1:.0%}), divergence {self.divergence:.3f} "
                f"(at most {MOST_DIVERGENCE}); update onnxruntime-genai, which made the graph"
            )


@dataclass(frozen=True, slots=True)
class Spoken:
    """What PyTorch's target says about a clip, and thinks while it says it."""

    visual: Floats  # [frames * tokens_per_frame, D]
    question: list[int]
    answer: list[int]  # greedy, the end token included if it came
    hidden: Floats  # [n, D] where the answer's n tokens were chosen
    logits: Floats  # [n, V]


@torch.no_grad()
def speak(pair: Pair, clips: Sequence[Clip], question: str, info: TargetInfo) -> list[Spoken]:
    """PyTorch's greedy answers through transformers' own VideoLLaVA: placeholders, mask, cache."""
    images = torch.stack([frames_of(pair, clip.frames) for clip in clips])
    words = Prompt(pair.words, pair.prompt)
    asked = words.asked(question)
    count = pair.clip.frames * pair.clip.tokens_per_frame
    placeholders = [pair.target.config.video_token_index] * count
    prompt = torch.tensor([[*words.before, *placeholders, *asked]] * len(clips))
    target: Any = pair.target  # not every release of transformers types `generate` for its models
    spoken = target.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        pixel_values_videos=images,
        do_sample=False,
        max_new_tokens=LONGEST_ANSWER,
        eos_token_id=list(info.end_tokens),
        pad_token_id=info.end_tokens[0],
        suppress_tokens=list(info.masked_tokens),
        return_dict_in_generate=True,
        output_logits=True,
        output_hidden_states=True,
    )
    assert isinstance(spoken, GenerateDecoderOnlyOutput)
    assert spoken.hidden_states is not None
    assert spoken.logits is not None
    answers = spoken.sequences[:, prompt.shape[1] :].tolist()
    hidden = torch.stack([step[-1][:, -1] for step in spoken.hidden_states], 1).numpy()
    logits = torch.stack(list(spoken.logits), 1).numpy()
    visual = pair.target.model.get_video_features(images).pooler_output.numpy()
    width = visual.shape[-1]
    found = []
    for row, seen in enumerate(visual.reshape(len(clips), -1, width)):
        ends = [i for i, token in enumerate(answers[row]) if token in info.end_tokens]
        length = ends[0] + 1 if ends else len(answers[row])
        said = answers[row][:length]
        found.append(Spoken(seen, asked, said, hidden[row, :length], logits[row, :length]))
    return found


def check_target(
    pair: Pair, graph: Path, precision: str, info: TargetInfo, spoken: Sequence[Spoken]
) -> Agreement:
    """Let the graph read and answer what PyTorch did, with its cache in place as on the device."""
    decoder = Decoder(OnnxEngine(graph), info, embedding_table(pair.target))
    decoder.prefill(decoder.embed(Prompt(pair.words, pair.prompt).before))
    start = decoder.offset
    answers: list[tuple[list[int], list[int]]] = []
    logits: list[tuple[Floats, Floats]] = []
    hidden: list[tuple[Floats, Floats]] = []
    for each in spoken:
        decoder.trim(start)
        decoder.prefill(each.visual)
        asked, length = decoder.offset, len(each.answer)
        answers.append((each.answer, _greedy(decoder, each.question, length, info)))
        decoder.trim(asked)
        rows = decoder.embed([*each.question, *each.answer[:-1]])
        found = decoder.forward(rows, last=length)
        logits.append((each.logits, found.logits.copy()))
        hidden.append((each.hidden, found.hidden[-length:].copy()))
    said = [token for answer, _ in answers for token in answer]
    wanted, got = (_allowed(np.concatenate(side), info) for side in zip(*logits, strict=True))
    together = sum(a == b for pair_ in answers for a, b in zip(*pair_, strict=False))
    return Agreement(
        precision=precision,
        clips=len(spoken),
        same_answers=sum(a == b for a, b in answers),
        tokens=len(said),
        greedy=together / len(said),
        top1=float((got.argmax(1) == said).mean()),
        divergence=divergence(wanted, got),
        cosine_hidden=float(np.concatenate([row_cosines(*h) for h in hidden]).mean()),
        cosine_logits=float(np.concatenate([row_cosines(*x) for x in logits]).mean()),
    )


def target_reference(
    pair: Pair, graph: Path, info: TargetInfo, spoken: Spoken
) -> tuple[Feeds, Arrays]:
    """One prompt in one pass from an empty cache: states of all rows, logits of the last.

    As the graph itself answers here: an engine elsewhere has to agree with what was exported.
    """
    table = embedding_table(pair.target)
    before = Prompt(pair.words, pair.prompt).before
    inputs = np.concatenate([table[before], spoken.visual, table[spoken.question]])
    inputs = inputs.astype(np.float32)
    rows = len(inputs)
    logits, hidden = Decoder(OnnxEngine(graph), info, table).prefill(inputs)
    feeds: Feeds = {
        "inputs_embeds": inputs[None],
        "attention_mask": np.ones((1, rows), np.int64),
        "rows": np.array([rows - 1], np.int64),
    }
    return feeds, {"logits": logits[None], "hidden_states": hidden[None]}


@torch.no_grad()
def check_language_model(
    model: VideoLlavaForConditionalGeneration, graph: Path, cache_dtype: str
) -> float:
    """The least cosine of hidden states between PyTorch and an INT4 graph, on random rows.

    Raises:
        BundleError: it is below what INT4 may cost.
    """
    config = language_config(model)
    info = language_info(config, PROBE_ROWS, cache_dtype)
    rows = np.random.default_rng(0).normal(size=(PROBE_ROWS, config.hidden_size))
    inputs: Floats = (rows * config.initializer_range).astype(np.float32)
    decoder = Decoder(OnnxEngine(graph), info, embedding_table(model))
    found = decoder.forward(inputs, last=1).hidden
    states = model.model.language_model(inputs_embeds=torch.from_numpy(inputs)[None])
    row = compare("target", "int4", [(states.last_hidden_state[0].numpy(), found)])
    row.require()
    return row.cosine_min


def divergence(wanted: Floats, found: Floats) -> float:
    """Mean Kullback-Leibler divergence KL(wanted || found) of the rows' softmax, in nats."""
    p, q = (x - x.max(1, keepdims=True) for x in (wanted.astype(np.float64), found))
    p, q = (x - np.log(np.exp(x).sum(1, keepdims=True)) for x in (p, q))
    return float((np.exp(p) * (p - q)).sum(1).mean())


def _greedy(decoder: Decoder, question: list[int], longest: int, info: TargetInfo) -> list[int]:
    logits = decoder.prefill(decoder.embed(question)).logits
    said: list[int] = []
    while True:
        said.append(int(_allowed(logits, info)[0].argmax()))
        if said[-1] in info.end_tokens or len(said) == longest:
            return said
        logits = decoder.forward(decoder.embed(said[-1:]), last=1).logits


def _allowed(logits: Floats, info: TargetInfo) -> Floats:
    """A copy in which the tokens that are never emitted have no chance."""
    allowed: Floats = logits.copy()
    allowed[:, list(info.masked_tokens)] = NEVER
    return allowed
