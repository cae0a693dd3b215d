"""How much of an answer the early drafter knows before the target has seen the clip's end, on
streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import Bundle
from xsd_edge.runtime.session import Session
from xsd_edge.training.examination import Manner, watch
from xsd_edge.training.examination import answer as speak
from xsd_edge.world.scenes import DESCRIBE
from xsd_edge.world.spec import World
from xsd_edge.world.streams import foreseen, stream

PLAIN = Manner(exact=True)
CLIPS = 10  # of each stream
FLIPS = 20_000  # of signs, in the paired test

Report = Callable[[str, int, int, dict[str, float]], None]


class StreamQuality(NamedTuple):
    """Means over the clips that have a clip before them."""

    early_prefix: float  # share of the answer's tokens that the early draft begins with
    early_prefix_without_events: float  # the same for the previous answer, said again
    p: float  # that events add nothing: one-sided paired test over streams
    clips: int


def evaluate_streams(bundle: Bundle, seeds: Sequence[int], report: Report) -> dict[str, float]:
    """The figures of `xsd-edge evaluate --streams`, rounded.

    Raises:
        BundleError: the bundle is missing or damaged.
    """
    count = len(seeds)
    found = stream_quality(
        Session(bundle),
        seeds,
        CLIPS,
        lambda done: report("streams", done, count, {}),
        World.of(bundle),
    )
    return {
        "early_prefix": round(found.early_prefix, 4),
        "early_prefix_without_events": round(found.early_prefix_without_events, 4),
        "early_gain_p": round(found.p, 6),
        "early_clips": found.clips,
    }


def stream_quality(
    session: Session,
    seeds: Sequence[int],
    clips: int,
    report: Callable[[int], None],
    world: World,
) -> StreamQuality:
    """Ask for each clip's caption; the draft is made without the last frame's slice."""
    drafted: list[list[float]] = []
    repeated: list[list[float]] = []
    for number, seed in enumerate(seeds, 1):
        previous: tuple[int, ...] = ()
        drafted.append([])
        repeated.append([])
        for clip in stream(seed, clips, world):
            memory = watch(session, clip.scene.frames(), foreseen(clip.events()))
            question = session.question_tokens(DESCRIBE)
            draft = session.early.propose(question, previous, memory).tokens
            answer = tuple(speak(session, session.ask(DESCRIBE), None, PLAIN, (seed,)).tokens)
            if previous:
                drafted[-1].append(_prefix(draft, answer))
                repeated[-1].append(_prefix(previous, answer))
            previous = answer
        report(number)
    gains = np.array([np.mean(a) - np.mean(b) for a, b in zip(drafted, repeated, strict=True)])
    return StreamQuality(
        float(np.mean([x for row in drafted for x in row])),
        float(np.mean([x for row in repeated for x in row])),
        sign_flip_p(gains),
        sum(map(len, drafted)),
    )


def _prefix(draft: Sequence[int], answer: Sequence[int]) -> float:
    equal = [a == b for a, b in zip(draft, answer, strict=False)]
    return (equal.index(False) if False in equal else len(equal)) / len(answer)


def sign_flip_p(gains: NDArray[np.float64]) -> float:
    """One-sided p of the mean gain under random signs (Fisher's permutation test for pairs)."""
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (FLIPS, len(gains)))
    return float(((signs * gains).mean(1) >= gains.mean()).sum() + 1) / (FLIPS + 1)
