"""Tokens per second of one language model in several runtimes, plain and speculative, in turns.

    pip install --group peers
    python benchmarks/peers.py [BUNDLE] [--repeats 2] [--clips 6] [--plot docs/peers.png]

Two sets: `text` is the stock base language model with text prompts, drafts coming from the prompt;
`clips` is the demo's target describing held-out clips, where our drafters work too. Every round
asks every runtime every way with the same prompt; who begins moves on by one. A figure is decoding
alone, greedy: tokens per second from the first delivery to the last. A runtime that is not
installed is left out, saying so. The last line of stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.medians import figure
from benchmarks.peers_models import ModelFolder, Prompt, clip_model, text_model
from benchmarks.peers_runtimes import FOR_CLIPS, RUNTIMES
from xsd_edge.bundle import Bundle

TEXT_ANSWER, LONGEST_CAPTION = 48, 64  # tokens
PAUSE_S = 0.1  # idle threads stop spinning
OURS = "xsd-edge"


class Peer:
    """A worker process with one runtime; `ways` is empty where it is not installed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        command = [sys.executable, "-m", "benchmarks.peers_worker", name, str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about = self._read()
        self.ways: list[str] = self.about.get("ways", [])

    def answer(self, way: str, prompt: Prompt, most: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        job = {"way": way, "tokens": prompt.tokens, "most": most, "seed": prompt.seed}
        print(json.dumps(job), file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"peers: {self.name} ended; its last words are above")
        found: dict[str, Any] = json.loads(line)
        return found


def compare(
    folder: ModelFolder, names: tuple[str, ...], repeats: int, most: int
) -> dict[str, dict[str, Any]]:
    """What each runtime is and how fast in each way, over the folder's prompts."""
    peers = [Peer(name, folder.path) for name in names]
    for peer in peers:
        if "missing" in peer.about:
            print(peer.about["missing"], file=sys.stderr, flush=True)
    ways = [(peer, way) for peer in peers for way in peer.ways]
    answers: dict[tuple[str, str], list[dict[str, Any]]] = {(p.name, w): [] for p, w in ways}
    for number, prompt in enumerate([folder.prompts[0], *repeats * folder.prompts]):
        turn = number % len(ways)
        for peer, way in ways[turn:] + ways[:turn]:
            time.sleep(PAUSE_S)
            found = peer.answer(way, prompt, most)
            if number:  # the first round warms up
                answers[peer.name, way].append(found)
        print(f"round {number} of {repeats * len(folder.prompts)}", file=sys.stderr, flush=True)
    for peer in peers:
        peer.close()
    plain = answers[OURS, "plain"]
    return {
        peer.name: {
            **peer.about,
            "ways": {way: summary(answers[peer.name, way], plain) for way in peer.ways},
        }
        for peer in peers
    }


def summary(answers: list[dict[str, Any]], plain: list[dict[str, Any]]) -> dict[str, Any]:
    """Speed, speed as a ratio to our plain decoding of the same round, and how many answers are
    the same as that.
    """
    mine, theirs = [speed(each) for each in answers], [speed(each) for each in plain]
    return {
        "tokens_per_s": figure(mine),
        "to_our_plain": figure([m / t for m, t in zip(mine, theirs, strict=True)]),
        "same_answer_as_our_plain": sum(
            a["tokens"] == b["tokens"] for a, b in zip(answers, plain, strict=True)
        ),
    }


def speed(answer: Mapping[str, Any]) -> float:
    return float((len(answer["tokens"]) - answer["first"]) / answer["seconds"])


def bars(sets: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(set, label, figure) of everything measured, in order."""
    for title, runtimes in sets.items():
        for name, about in runtimes.items():
            for way, found in about.get("ways", {}).items():
                yield title, f"{name}, {way}", found["tokens_per_s"]


def draw(sets: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """One bar a way, its interval as a line, ours in another colour."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    rows = list(bars(sets))
    heights = [sum(title == row[0] for row in rows) for title in sets]
    figure_, axes = plt.subplots(
        len(sets), 1, figsize=(7.5, 0.32 * len(rows) + 1.2), height_ratios=heights, squeeze=False
    )
    for axis, title in zip(axes[:, 0], sets, strict=True):
        mine = [row for row in rows if row[0] == title][::-1]
        values = [row[2]["value"] for row in mine]
        sides = [[abs(row[2]["interval"][end] - row[2]["value"]) for row in mine] for end in (0, 1)]
        colours = ["#0b6e4f" if row[1].startswith(OURS) else "#9aa5b1" for row in mine]
        axis.barh([row[1] for row in mine], values, xerr=sides, color=colours, ecolor="#333333")
        axis.set_title(TITLES.get(title, title), loc="left", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("tokens per second, median and 95 % interval", fontsize=8)
    figure_.tight_layout()
    figure_.savefig(path, dpi=90)


TITLES = {
    "text": "SmolLM2-135M, text prompts",
    "clips": "The demo's target describing clips",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/demo-cpu"))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    bundle = Bundle(given.bundle)
    with tempfile.TemporaryDirectory(prefix=".peers.", dir=given.cache) as scratch:
        text = text_model(bundle, given.cache, Path(scratch, "text"))
        clips = clip_model(bundle, given.cache, Path(scratch, "clips"), given.clips)
        sets = {
            "text": compare(text, tuple(RUNTIMES), given.repeats, TEXT_ANSWER),
            "clips": compare(clips, FOR_CLIPS, given.repeats, LONGEST_CAPTION),
        }
    if given.plot:
        draw(sets, given.plot)
    print(json.dumps({"sets": sets, "repeats": given.repeats}))


if __name__ == "__main__":
    main()
