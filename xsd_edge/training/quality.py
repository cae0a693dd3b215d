"""The quality of a bundle on scenes, measured through the runtime that will serve it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xsd_edge.bundle import Bundle
from xsd_edge.errors import TrainingError
from xsd_edge.runtime.costs import measure_costs
from xsd_edge.runtime.session import Session
from xsd_edge.training.examination import Manner, Spoken, answer, exchanges, show
from xsd_edge.training.scores import auroc, calibration_error
from xsd_edge.world.captions import AttributeScore
from xsd_edge.world.scenes import QuestionAnswer, Scene
from xsd_edge.world.spec import PLAIN, World

CAPTION = "describe"


def parse_scenes(spec: str) -> list[int]:
    """Scene seeds: A:B is the half-open range, anything else a JSON file with a list of seeds.

    Raises:
        TrainingError: neither.
    """
    first, colon, last = spec.partition(":")
    if colon and first.isdigit() and last.isdigit():
        if int(first) >= int(last):
            raise TrainingError(f"--scenes {spec} is empty; give A:B with A below B")
        return list(range(int(first), int(last)))
    try:
        seeds = json.loads(Path(spec).read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(
            f"cannot read --scenes {spec}: {error.strerror}; give a JSON list of seeds, or A:B"
        ) from error
    except ValueError as error:
        raise TrainingError(f"{spec} is not JSON: {error}; write a list of seeds") from error
    whole = isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in seeds)
    if not whole or not seeds:
        raise TrainingError(f"{spec} is no list of scene seeds; write one like [1000000000, 7]")
    return [int(seed) for seed in seeds]


@dataclass
class Drafts:
    """What became of drafts over many answers."""

    tokens: int = 0
    rounds: int = 0
    judged: int = 0
    accepted: int = 0
    lengths: list[int] = field(default_factory=list)  # of answers, in tokens behind the first

    def add(self, spoken: Spoken) -> None:
        self.lengths.append(spoken.decoded)
        self.tokens += spoken.decoded
        self.rounds += len(spoken.rounds)
        self.judged += sum(r.judged for r in spoken.rounds)
        self.accepted += sum(r.accepted for r in spoken.rounds)

    @property
    def acceptance(self) -> float | None:
        """Per token: of the drafts whose turn came."""
        return self.accepted / self.judged if self.judged else None

    @property
    def tokens_per_round(self) -> float | None:
        return self.tokens / self.rounds if self.rounds else None

    def ceiling(self, gamma: int) -> float | None:
        """Tokens per round of a drafter that is never wrong: an answer's end cuts its last round
        short, and of a short answer that is the only one.
        """
        rounds = sum(-(-length // (gamma + 1)) for length in self.lengths)
        return self.tokens / rounds if rounds else None


@dataclass
class Forecasts:
    """The predictor's word for each judged draft, by draft position, and what happened."""

    predicted: dict[int, list[float]] = field(default_factory=dict)
    happened: dict[int, list[bool]] = field(default_factory=dict)

    def add(self, spoken: Spoken) -> None:
        for round_ in spoken.rounds:
            for position in range(round_.judged):
                forecast = float(round_.predicted[position])
                self.predicted.setdefault(position, []).append(forecast)
                self.happened.setdefault(position, []).append(position < round_.accepted)

    def calibration_errors(self) -> list[float | None]:
        """Per draft position, the first one first."""
        return [
            calibration_error(self.predicted[i], self.happened[i]) for i in sorted(self.predicted)
        ]

    def auroc(self) -> float | None:
        """Over all positions together."""
        return auroc(_flat(self.predicted), _flat(self.happened))


def _flat(by_position: dict[int, list[Any]]) -> list[Any]:
    return [value for position in sorted(by_position) for value in by_position[position]]


@dataclass
class Quality:
    """All totals of one evaluation; `fields` is its JSON form."""

    gamma: int
    world: str = PLAIN.name
    scenes: int = 0
    right: dict[str, list[bool]] = field(default_factory=dict)  # by kind of question
    attributes: AttributeScore = field(default_factory=AttributeScore)
    greedy: Drafts = field(default_factory=Drafts)
    captions: Drafts = field(default_factory=Drafts)  # of the greedy ones
    sampled: Drafts = field(default_factory=Drafts)
    forecasts: Forecasts = field(default_factory=Forecasts)
    c: float = 0.0

    def add(self, scene: Scene, asked: QuestionAnswer, text: str) -> None:
        self.right.setdefault(asked.kind, []).append(text == asked.answer)
        if asked.kind == CAPTION:
            self.attributes.add(scene, text)

    def fields(self) -> dict[str, Any]:
        """Shares in 0..1; null where nothing was asked. The worst position gives predictor_ece."""
        errors = self.forecasts.calibration_errors()
        exact = {kind: float(np.mean(right)) for kind, right in self.right.items()}
        return {
            "world": self.world,
            "scenes": self.scenes,
            "gamma": self.gamma,
            "exact_caption": _rounded(exact.pop(CAPTION)),
            "attributes": {k: _rounded(v) for k, v in self.attributes.shares().items()},
            "qa": {kind: _rounded(share) for kind, share in exact.items()},
            "acceptance_t0": _rounded(self.greedy.acceptance),
            "acceptance_t1": _rounded(self.sampled.acceptance),
            "tokens_per_round": _rounded(self.greedy.tokens_per_round),
            "tokens_per_round_ceiling": _rounded(self.greedy.ceiling(self.gamma)),
            "tokens_per_round_captions": _rounded(self.captions.tokens_per_round),
            "tokens_per_round_captions_ceiling": _rounded(self.captions.ceiling(self.gamma)),
            "tokens_per_round_t1": _rounded(self.sampled.tokens_per_round),
            "c": _rounded(self.c),
            "predictor_ece": _rounded(max((e for e in errors if e is not None), default=None)),
            "predictor_ece_by_position": [_rounded(e) for e in errors],
            "predictor_auroc": _rounded(self.forecasts.auroc()),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def evaluate(
    bundle: Bundle,
    seeds: Sequence[int],
    gamma: int,
    report: Callable[[str, int, int, dict[str, float]], None],
) -> Quality:
    """Ask about every scene, greedily and at temperature 1, with drafts of `gamma` tokens.

    Raises:
        BundleError: the bundle is missing or damaged.
    """
    session = Session(bundle)
    gamma = min(gamma, bundle.manifest.drafter.gamma_max)
    world = World.of(bundle)
    found = Quality(gamma, world.name)
    greedy, sampled = Manner(gamma), Manner(gamma, temperature=1.0)
    for done, scene in enumerate((Scene.from_seed(seed, world) for seed in seeds), 1):
        memory = show(session, scene)
        for number, asked in enumerate(exchanges(scene)):
            start = session.ask(asked.question).kept()  # answered twice
            seed = (scene.seed, number)
            spoken = answer(session, start, memory, greedy, seed)
            found.add(scene, asked, session.text(spoken.tokens))
            found.greedy.add(spoken)
            if asked.kind == CAPTION:
                found.captions.add(spoken)
            found.forecasts.add(spoken)
            session.rewind()
            found.sampled.add(answer(session, start, memory, sampled, seed))
        found.scenes = done
        right = float(np.mean(found.right[CAPTION]))
        report("evaluate", done, len(seeds), {"exact_caption": right})
    # Not at the start: networks that have just been loaded are slower.
    session.begin_clip()
    session.draft_head.begin(session.silence())
    found.c = measure_costs(session.decoder, session.draft_head, gamma).c
    return found
