"""What the drafter learns from: the target's own answers, hidden states and next-token
distributions.

Collected from the exported target as it will run on the device, not from its float original: the
draft head must imitate the quantized engine's hidden states and choices, quirks included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xsd_edge.calibration.batches import Pair, frames_of, visual_of
from xsd_edge.checkpoint_recipe import AnyRecipe
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import count_bins
from xsd_edge.export.target import embedding_table
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.engine import EngineOptions
from xsd_edge.runtime.loop import Limits, Prefilled, generate
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import NOTHING, GreedyVerifier, Proposal
from xsd_edge.training.arrays import loaded_arrays, save_arrays
from xsd_edge.world import scenes

TOP = 16  # of the target's next-token distribution, the rest of which is a few per cent at most


@dataclass(frozen=True, slots=True)
class Example:
    """One answer of the target; row i is position i from the question's first token on, without the
    last token.
    """

    clip: int  # index into the clips' event counts
    question_rows: int
    tokens: NDArray[np.int64]  # [n + 1], question and answer; row i chose tokens[i + 1]
    hidden: NDArray[np.float16]  # [n, D]
    top_tokens: NDArray[
        np.int64
    ]  # [n, TOP] the likeliest tokens[i + 1]; no weight on question rows
    top_weights: NDArray[np.float16]  # [n, TOP] their probabilities at temperature 1


@dataclass(frozen=True, slots=True)
class Distilled:
    """A collection of examples and the events of the clips they are about."""

    counts: NDArray[np.float16]  # [clips, 2 * bins, side, side]
    examples: list[Example]

    def save(self, path: Path) -> None:
        """Write it whole or not at all.

        Raises:
            TrainingError: it cannot be written.
        """
        flat = {"counts": self.counts, "clip": np.array([e.clip for e in self.examples])}
        flat["question_rows"] = np.array([e.question_rows for e in self.examples])
        flat["rows"] = np.array([len(e.hidden) for e in self.examples])
        for name in ("tokens", "hidden", "top_tokens", "top_weights"):
            flat[name] = np.concatenate([getattr(e, name) for e in self.examples])
        save_arrays(path, flat)

    @classmethod
    def load(cls, path: Path) -> Distilled:
        """Read what `save` wrote.

        Raises:
            TrainingError: it is something else, or damaged.
        """
        with loaded_arrays(path) as flat:
            return cls._of(flat)

    @classmethod
    def _of(cls, flat: dict[str, NDArray[Any]]) -> Distilled:
        rows, ends = flat["rows"], np.cumsum(flat["rows"])
        arrays = {n: flat[n] for n in ("tokens", "hidden", "top_tokens", "top_weights")}
        examples = []
        for index, (n, end) in enumerate(zip(rows, ends, strict=True)):
            span = slice(end - n, end)
            words = slice(end - n + index, end + index + 1)
            examples.append(
                Example(
                    int(flat["clip"][index]),
                    int(flat["question_rows"][index]),
                    arrays["tokens"][words],
                    arrays["hidden"][span],
                    arrays["top_tokens"][span],
                    arrays["top_weights"][span],
                )
            )
        return cls(flat["counts"], examples)


def asked_about(scene: scenes.Scene, questions: int) -> list[scenes.QuestionAnswer]:
    """The caption and `questions` others, which the scene's seed picks."""
    asked = scene.exchanges()
    rng = np.random.default_rng((scene.seed, 4))
    others = rng.choice(len(asked) - 1, min(questions, len(asked) - 1), replace=False) + 1
    return [asked[pick] for pick in (0, *others)]


def event_counts(events: EventPacket, recipe: AnyRecipe) -> NDArray[np.float32]:
    """The event encoder's input for one clip of the paired world. [2 * bins, side, side]"""
    side = Geometry(scenes.SIDE, scenes.SIDE)
    spec = recipe.drafter
    return count_bins(events, side, 0, scenes.CLIP_US, spec.event_bins, spec.event_side)


class Oracle:
    """Drafts the ground truth: most answers are verified in one pass, which makes collecting quick.

    Lossless as any drafter: where the target disagrees, the target's own token stands.
    """

    def __init__(self) -> None:
        self.script: list[int] = []
        self._heard: list[int] = []

    def begin(self, memory: EventMemory) -> None:
        pass

    def ask(self, script: Sequence[int]) -> None:
        self.script, self._heard = list(script), []

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        self._heard += following

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        """What the script says next, as long as the target has followed it."""
        said = len(self._heard)
        if self._heard == self.script[:said]:
            return Proposal(tuple(self.script[said : said + gamma]))
        return NOTHING


class Collector:
    """Runs the exported target over scenes and writes down what it says and thinks."""

    def __init__(self, pair: Pair, graph: Path) -> None:
        """`graph` is the language model of the pair's target, exported."""
        # Spinning threads of one library would keep the other's from the cores.
        engine = OnnxEngine(graph, EngineOptions(spinning=False))
        self._decoder = Decoder(engine, pair.info, embedding_table(pair.target))
        self._pair = pair
        self._prompt = Prompt(pair.words, pair.prompt)
        self._decoder.prefill(self._decoder.embed(self._prompt.before))
        self._start = self._looked = self._decoder.offset
        self._oracle = Oracle()

    def examples(self, scene: scenes.Scene, clip: int, questions: int) -> Iterator[Example]:
        """The caption and `questions` other answers about one scene."""
        self.look(scene)
        for asked in asked_about(scene, questions):
            yield self.answer(asked, clip)

    def look(self, scene: scenes.Scene) -> NDArray[np.float32]:
        """Forget the last scene and see this one's frames; returns their visual tokens. [T, D]"""
        decoder = self._decoder
        decoder.trim(self._start)
        with torch.inference_mode():
            visual = visual_of(self._pair, frames_of(self._pair, scene.frames()))[0].float().numpy()
        decoder.prefill(visual)
        self._looked = decoder.offset
        return np.asarray(visual)

    def answer(self, asked: scenes.QuestionAnswer, clip: int) -> Example:
        """What the target says of the scene it looked at; the true answer only makes it quick."""
        decoder, end = self._decoder, self._decoder.info.end_tokens[0]
        decoder.trim(self._looked)
        question = self._prompt.asked(asked.question)
        answer = [*self._prompt.tokens(f" {asked.answer}"), end]
        self._oracle.ask([*question[1:], *answer])
        logits, hidden = decoder.prefill(decoder.embed(question))
        start = Prefilled(logits.copy(), hidden.copy(), tuple(question))
        said: list[int] = []
        states = [hidden[:-1].copy()]  # the last question row chooses the answer's first token
        silent = [_nothing()] * (len(question) - 1)
        tops: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        rounds = generate(
            decoder, start, GreedyVerifier(), Sampling(), Limits(max_tokens=64), self._oracle
        )
        for round_ in rounds:
            said += round_.tokens
            states.append(round_.hidden.copy())
            tops += [_top(row) for row in round_.logits]
        return Example(
            clip,
            len(question),
            np.array([*question, *said], np.int64),
            np.concatenate(states).astype(np.float16),
            np.stack([tokens for tokens, _ in (*silent, *tops)]),
            np.stack([weights for _, weights in (*silent, *tops)]).astype(np.float16),
        )


def _top(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    best = np.argpartition(logits, -TOP)[-TOP:]
    weights = np.exp(logits - logits.max())
    return best.astype(np.int64), (weights[best] / weights.sum()).astype(np.float32)


def _nothing() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.zeros(TOP, np.int64), np.zeros(TOP, np.float32)


def collect(
    collector: Collector,
    recipe: AnyRecipe,
    seeds: range,
    questions: int,
    report: Callable[[int], None],
) -> Distilled:
    """Examples about the scenes of `seeds`, in order."""
    spec = recipe.drafter
    shape = (len(seeds), 2 * spec.event_bins, spec.event_side, spec.event_side)
    counts = np.zeros(shape, np.float16)
    examples: list[Example] = []
    for clip, seed in enumerate(seeds):
        scene = scenes.Scene.from_seed(seed, recipe.world)
        counts[clip] = event_counts(scene.events(), recipe)
        examples += collector.examples(scene, clip, questions)
        report(clip + 1)
    return Distilled(counts, examples)
