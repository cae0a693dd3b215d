"""Held-out scenes through the real runtime: caption quality, acceptance, equality with plain
decoding.

    python benchmarks/quality.py BUNDLE [--scenes 200] [--gamma 5] [--exact] [--temperature T]

The last line of stdout is one JSON document. Decode times of drafted and plain answers are taken in
turns.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xsd_edge.bundle import Bundle
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.packet import Counters, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import FrameTrack
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.pipeline import Answer, Pipeline
from xsd_edge.runtime.session import Session
from xsd_edge.training import scenes
from xsd_edge.video.frames import TrackFrames


@dataclass
class Totals:
    """What all answers of one kind of question add up to."""

    answers: int = 0
    right: int = 0
    different: int = 0
    tokens: int = 0
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    decode_s: float = 0.0
    plain_s: float = 0.0
    margins: list[float] = field(default_factory=list)

    def add(self, answer: Answer, truth: str) -> None:
        assert answer.plain is not None
        self.answers += 1
        self.right += answer.text == truth
        if answer.mismatch is not None:
            self.different += 1
            self.margins.append(round(answer.mismatch.margin, 5))
        self.tokens += answer.decoding.decoded
        self.rounds += answer.decoding.rounds
        self.drafted += answer.decoding.drafted
        self.accepted += answer.decoding.accepted
        self.decode_s += answer.decoding.decode_s
        self.plain_s += answer.plain.decode_s

    def fields(self) -> dict[str, object]:
        return {
            "answers": self.answers,
            "exactly_right": round(self.right / self.answers, 4),
            "tokens_per_round": round(self.tokens / max(self.rounds, 1), 3),
            "acceptance": round(self.accepted / max(self.drafted, 1), 4),
            "decode_speedup": round(self.plain_s / self.decode_s, 3),
            "differ_from_plain": self.different,
            "margins_where_they_differ": self.margins,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--first", type=int, default=scenes.HELD_OUT)
    parser.add_argument("--gamma", type=int, default=5)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--exact", action="store_true")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.scenes)
    found = measure(given.bundle, seeds, given.gamma, given.temperature, given.exact)
    print(json.dumps({kind: totals.fields() for kind, totals in found.items()}))


def measure(
    bundle: Path, seeds: range, gamma: int = 5, temperature: float = 0.0, exact: bool = True
) -> dict[str, Totals]:
    """The caption and one other question about each scene, drafted and plain; totals by kind."""
    session = Session(Bundle(bundle))
    totals: dict[str, Totals] = {}
    for seed in seeds:
        scene = scenes.Scene.from_seed(seed)
        asked = scene.exchanges()
        picked = (asked[0], asked[1 + seed % (len(asked) - 1)])
        options = RunOptions(
            bundle=bundle,
            camera="demo",
            prompts=tuple(p.question for p in picked),
            gamma=gamma,
            temperature=temperature,
            seed=seed,
            exact=exact,
            compare_plain=True,
            fast=True,
        )
        for answer, exchange in zip(answers(session, scene, options), picked, strict=True):
            for kind in (exchange.kind, "all"):
                totals.setdefault(kind, Totals()).add(answer, exchange.answer)
    return totals


def answers(session: Session, scene: scenes.Scene, options: RunOptions) -> list[Answer]:
    """The runtime's answers about one scene, as if it had been recorded."""
    events, side = scene.events(), Geometry(scenes.SIDE, scenes.SIDE)
    times = np.rint(scenes.frame_phases() * scenes.CLIP_US).astype(np.int64)
    track = FrameTrack(times, scene.frames())
    decoded = (packet for packet in (events,))
    source = Recording(f"scene {scene.seed}", side, Counters(len(events)), decoded, track)
    reader = ClipReader(source, scenes.CLIP_US, scenes.FRAMES, drop_late=False)
    return list(Pipeline(session, reader, side, TrackFrames(track), options).answers())


if __name__ == "__main__":
    main()
