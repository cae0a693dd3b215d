"""`xsd-edge analyze`: all measures of one bundle, as one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xsd_edge.analysis import dependence, distances
from xsd_edge.analysis.decoding import Prefix, Promises, Recorder, promises
from xsd_edge.analysis.features import Features, collect, comparable
from xsd_edge.bundle import Bundle
from xsd_edge.errors import TrainingError
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.verifier import RejectionVerifier
from xsd_edge.training.examination import Manner, exchanges, show, speak
from xsd_edge.world.scenes import Scene
from xsd_edge.world.spec import World

LEAST = 8  # clips; the unbiased estimators divide by n - 3, InfoNCE by quarters of n

Report = Callable[[str, int, int, dict[str, float]], None]


class Gap(NamedTuple):
    """How far events and video lie apart (distances in units of the clouds' own size), and how
    much they tell of each other.
    """

    sliced_wasserstein: float
    wasserstein: float
    squared_mmd: float
    centroid_gap: float
    linear_cka: float
    info_nce_nats: float
    info_nce_ceiling_nats: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything `analyze` found."""

    features: Features
    before: Gap  # event encoder's features against video
    after: Gap  # aligned event features against video
    prefixes: list[Prefix]

    @property
    def all_positions(self) -> Promises:
        return promises(self.prefixes)

    @property
    def by_position(self) -> list[Promises]:
        """One entry per draft position, the first one first."""
        reached = 1 + max(f.position for f in self.prefixes)
        return [promises([f for f in self.prefixes if f.position == i]) for i in range(reached)]

    def fields(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "clips": len(self.features.video),
            "features": {"before": _shown(self.before), "after": _shown(self.after)},
            "acceptance": _shown(self.all_positions),
            "positions": [
                {"position": i, **_shown(found)} for i, found in enumerate(self.by_position, 1)
            ],
        }


def analyze(bundle: Bundle, seeds: Sequence[int], gamma: int, report: Report) -> Analysis:
    """Measure a bundle on scenes.

    Raises:
        BundleError: the bundle is missing or damaged.
        TrainingError: fewer than LEAST scenes, or a drafter that never drafts.
        ExtraMissingError: POT is not installed.
    """
    if len(seeds) < LEAST:
        raise TrainingError(f"{len(seeds)} scenes are too few to compare; give at least {LEAST}")
    distances.pot()  # if it is missing, better now than after the work
    world = World.of(bundle)
    drawn = [Scene.from_seed(seed, world) for seed in seeds]
    watched = (_counted(scene, i, len(drawn), report) for i, scene in enumerate(drawn, 1))
    features = collect(bundle, watched)
    before, after = gap(features.raw, features.video), gap(features.aligned, features.video)
    prefixes = decoded_prefixes(bundle, drawn, gamma, report)
    if not prefixes:
        raise TrainingError("no draft was ever judged; give scenes with longer answers")
    return Analysis(features, before, after, prefixes)


def gap(events: distances.Cloud, video: distances.Cloud) -> Gap:
    """All measures between paired clouds, [n, d] and [n, e]."""
    x, y = comparable(events, video)
    information = dependence.info_nce(events, video)
    return Gap(
        distances.sliced_wasserstein(x, y),
        distances.wasserstein(x, y),
        distances.squared_mmd(x, y),
        distances.centroid_gap(x, y),
        dependence.linear_cka(events, video),
        information.nats,
        information.ceiling,
    )


def decoded_prefixes(
    bundle: Bundle, drawn: Sequence[Scene], gamma: int, report: Report
) -> list[Prefix]:
    """p and q at every judged draft of sampled answers (temperature 1) about scenes."""
    session, manner = Session(bundle), Manner(gamma, temperature=1.0)
    found: list[Prefix] = []
    for done, scene in enumerate(drawn, 1):
        memory = show(session, scene)
        for number, asked in enumerate(exchanges(scene)):
            judging, drawing = (np.random.default_rng((scene.seed, number, i)) for i in (0, 1))
            recorder = Recorder(RejectionVerifier(Sampling(manner.temperature), judging))
            speak(session, session.ask(asked.question), memory, manner, recorder, drawing)
            found += recorder.prefixes
        report("decode", done, len(drawn), {})
    return found


def _counted(scene: Scene, done: int, total: int, report: Report) -> Scene:
    report("features", done, total, {})
    return scene


def _shown(found: Gap | Promises) -> dict[str, float]:
    return {name: round(value, 5) for name, value in found._asdict().items()}
