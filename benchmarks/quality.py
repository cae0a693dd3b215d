"""Held-out scenes through the runtime: are drafted answers the plain ones, and how much sooner.

    python benchmarks/quality.py BUNDLE [--scenes 200] [--gamma 5] [--exact] [--temperature T]

The last line of stdout is one JSON document. Decode times of drafted and plain answers are taken in
turns. What the answers are worth by themselves is `xsd-edge evaluate`'s to say.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

from xsd_edge.bundle import Bundle
from xsd_edge.runtime.session import Session
from xsd_edge.training.examination import Manner, Spoken, answer, exchanges, show
from xsd_edge.training.quality import Drafts
from xsd_edge.world import scenes
from xsd_edge.world.spec import World


@dataclass
class Totals:
    """What all answers of one kind of question add up to."""

    answers: int = 0
    right: int = 0
    different: int = 0
    drafts: Drafts = field(default_factory=Drafts)
    decode_s: float = 0.0
    plain_s: float = 0.0

    def add(self, drafted: Spoken, plain: Spoken, right: bool) -> None:
        self.answers += 1
        self.right += right
        self.different += drafted.tokens != plain.tokens
        self.drafts.add(drafted)
        self.decode_s += drafted.seconds
        self.plain_s += plain.seconds

    def fields(self) -> dict[str, float | int | None]:
        return {
            "answers": self.answers,
            "exactly_right": self.right / self.answers,
            "tokens_per_round": self.drafts.tokens_per_round,
            "acceptance": self.drafts.acceptance,
            "decode_speedup": self.plain_s / self.decode_s if self.decode_s else None,
            "differ_from_plain": self.different,
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
    """The caption and one other question about each scene, drafted and plain; totals by kind.

    Above temperature 0 the exact-match verifier makes both comparable: same seed, same tokens.
    """
    session, world = Session(Bundle(bundle)), World.of(Bundle(bundle))
    manner = Manner(gamma, temperature, "exact-match", exact)
    totals: dict[str, Totals] = {}
    for seed in seeds:
        scene = scenes.Scene.from_seed(seed, world)
        memory = show(session, scene)
        asked = exchanges(scene)
        for exchange in (asked[0], asked[1 + seed % (len(asked) - 1)]):
            start = session.ask(exchange.question).kept()
            drafted = answer(session, start, memory, manner, (seed,))
            session.rewind()
            plain = answer(session, start, None, manner, (seed,))
            right = session.text(drafted.tokens) == exchange.answer
            for kind in (exchange.kind, "all"):
                totals.setdefault(kind, Totals()).add(drafted, plain, right)
    return totals


if __name__ == "__main__":
    main()
