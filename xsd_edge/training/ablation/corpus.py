"""What all rows learn from: the target's answers about streams, with what each row may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.recipe import Recipe
from xsd_edge.training.arrays import loaded_arrays, save_arrays
from xsd_edge.training.distill import Collector, Distilled, Example, event_counts
from xsd_edge.training.early import KINDS, of_kinds
from xsd_edge.world.scenes import Scene
from xsd_edge.world.streams import stream

FIRST_SEED: Final = 80_000_000  # of the streams that rows learn from
NONE: Final = -1  # no answer before this one


def kinds_asked(seed: int, questions: int) -> tuple[str, ...]:
    """The caption and `questions` others, the same about each clip of a stream."""
    picked = np.random.default_rng((seed, 9)).choice(len(KINDS), questions, replace=False)
    return ("describe", *(KINDS[i] for i in sorted(picked)))


def scenes_of(recipe: Recipe) -> Iterator[Scene]:
    """The scenes that the rows learn from, in the order of the corpus' clips."""
    spec, world = recipe.ablation, recipe.world
    assert spec is not None
    for seed in range(FIRST_SEED, FIRST_SEED + spec.streams):
        yield from (clip.scene for clip in stream(seed, spec.clips, world))


@dataclass(frozen=True, slots=True)
class Corpus:
    """Answers about the clips of streams."""

    answers: Distilled
    before: NDArray[np.int64]  # [answers] which answer the last clip got, NONE for a first clip
    first_frames: NDArray[np.float16]  # [clips, T, D] the first frame's visual tokens

    @classmethod
    def collected(
        cls, collector: Collector, recipe: Recipe, report: Callable[[int], None]
    ) -> Corpus:
        """Ask the target about every clip of the recipe's streams."""
        spec, per_frame = recipe.ablation, recipe.target.tokens_per_frame
        assert spec is not None
        counts: list[NDArray[np.float16]] = []
        frames: list[NDArray[np.float16]] = []
        examples: list[Example] = []
        before: list[int] = []
        for number in range(spec.streams):
            kinds = kinds_asked(FIRST_SEED + number, spec.questions)
            for place, clip in enumerate(stream(FIRST_SEED + number, spec.clips, recipe.world)):
                frames.append(collector.look(clip.scene)[:per_frame].astype(np.float16))
                for exchange in of_kinds(clip.scene, kinds):
                    before.append(len(examples) - len(kinds) if place else NONE)
                    examples.append(collector.answer(exchange, len(counts)))
                counts.append(event_counts(clip.events(), recipe).astype(np.float16))
            report(number + 1)
        return cls(Distilled(np.stack(counts), examples), np.array(before), np.stack(frames))

    def save(self, folder: Path) -> None:
        """Two files, each whole or not at all.

        Raises:
            TrainingError: they cannot be written.
        """
        self.answers.save(folder / "answers.npz")
        seen: dict[str, NDArray[Any]] = {"before": self.before, "first_frames": self.first_frames}
        save_arrays(folder / "seen.npz", seen)

    @classmethod
    def load(cls, folder: Path) -> Corpus | None:
        """What `save` wrote; None where it has not finished.

        Raises:
            TrainingError: it is something else, or damaged.
        """
        path = folder / "seen.npz"  # the last that is written
        if not path.is_file():
            return None
        with loaded_arrays(path) as seen:
            answers = Distilled.load(folder / "answers.npz")
            return cls(answers, seen["before"], seen["first_frames"])
