"""How much sooner the answer comes: every figure a ratio of interleaved runs, with its interval.

    python -m benchmarks.latency BUNDLE [--clips 100] [--fp32 BUNDLE]

The baseline reads all frames and the question when the clip has ended and decodes plainly, with the
same engines. Ours has read what came before the last frame, as it arrived. The last line of stdout
is one JSON document; each figure has `value` and `interval`, the 95 % bootstrap interval of the
median over clips. The same pair with a float32 target is exported once, into .cache/, unless given.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import host_time
from benchmarks.medians import figure
from xsd_edge.bundle import Bundle, Manifest
from xsd_edge.errors import BundleError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.runtime.answer import Decoding
from xsd_edge.runtime.drafter import Drafter
from xsd_edge.runtime.engine import DEFAULT_OPTIONS, arrays_for, open_engine
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.loop import Limits, Prefilled, generate
from xsd_edge.runtime.planner import Planned
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.speculation import Speculation, machine_costs, measured_costs
from xsd_edge.runtime.verifier import GreedyVerifier, Proposal
from xsd_edge.training.examination import watch
from xsd_edge.video.preprocess import pixels
from xsd_edge.world.scenes import CLIP_US, DESCRIBE, HELD_OUT, SIDE, Scene
from xsd_edge.world.spec import World
from xsd_edge.world.streams import foreseen, stream

STREAM_CLIPS = 10
SECOND = "How many objects are moving?"
LIMITS = Limits(max_tokens=64)
HOST_GAMMA = 5


class Clip(NamedTuple):
    """What the cameras deliver."""

    frames: NDArray[np.uint8]  # [8, S, S, 3]
    events: EventPacket


class Contest:
    """One session, two ways to answer; both say the same, or the run stops."""

    def __init__(self, bundle: Path, exact: bool) -> None:
        self.session = Session(Bundle(bundle))
        self.world = World.of(Bundle(bundle))
        self.limits = Limits(LIMITS.max_tokens, exact)
        self.side = Geometry(SIDE, SIDE)
        self._tower = open_engine(
            Bundle(bundle), "vision", DEFAULT_OPTIONS._replace(spinning=False)
        )
        outputs, frames = Bundle(bundle).part("vision").outputs, self.session.manifest.clip.frames
        self._visual = arrays_for(self._tower, outputs, n=frames)

    def finish(self, start: Prefilled, drafter: Drafter | None, began: float) -> Decoding:
        decoding = Decoding()
        rounds = generate(
            self.session.decoder,
            start,
            GreedyVerifier(),
            Sampling(),
            self.limits,
            drafter,
            np.random.default_rng(0),
        )
        for round_ in rounds:
            decoding.add(round_, perf_counter() - began)
        return decoding

    def baseline(self, clip: Clip, question: str) -> Decoding:
        """Everything after the clip's end: the tower and the target each see all frames in one
        pass, then plain decoding.
        """
        began = perf_counter()
        self.session.begin_clip()
        images = [pixels(frame, self.session.manifest.clip) for frame in clip.frames]
        self._tower.run({"pixels": np.concatenate(images)}, self._visual)
        for visual in self._visual["visual"]:
            self.session.add_visual(visual, hold=True)
        return self.finish(self.session.ask(question), None, began)

    def watch(self, clip: Clip, speculation: Speculation, questions: Sequence[str]) -> None:
        """What happens before the last frame, on nobody's clock."""
        self.session.begin_clip()
        for frame in clip.frames[:-1]:
            self.session.add_frame(frame)
        memory = self.session.read_events(foreseen(clip.events), self.side, 0, CLIP_US)
        speculation.foresee(memory, questions, self.limits.max_tokens)

    def ours(self, clip: Clip, speculation: Speculation, question: str) -> Decoding:
        self.watch(clip, speculation, [question])
        began = perf_counter()
        self.session.add_frame(clip.frames[-1], hold=True)
        start = self.session.ask(question, speculation.early(question))
        asked = start.question
        decoding = self.finish(start, speculation.begin(), began)
        speculation.answered(question, asked, decoding)
        return decoding


def require_equal(ours: Decoding, plain: Decoding, exact: bool) -> None:
    if exact and ours.tokens != plain.tokens:
        raise SystemExit("latency: the answers differ with exact passes: not lossless here")


def answers(contest: Contest, clips: Iterator[Clip]) -> dict[str, list[float]]:
    """Ratios per clip: whole answer and first token."""
    speculation = Speculation(contest.session, None)
    ratios: dict[str, list[float]] = {"whole": [], "first": []}
    for clip in clips:
        plain = contest.baseline(clip, DESCRIBE)
        ours = contest.ours(clip, speculation, DESCRIBE)
        require_equal(ours, plain, contest.limits.exact)
        ratios["whole"].append(plain.answer_s / ours.answer_s)
        ratios["first"].append(plain.first_token_s / ours.first_token_s)
    return ratios


def second_questions(contest: Contest, clips: Iterator[Clip]) -> list[float]:
    """First token of a second question about the same clip, against reading it all again."""
    ratios = []
    speculation = Speculation(contest.session, None)
    for clip in clips:
        plain = contest.baseline(clip, SECOND)
        contest.watch(clip, speculation, [DESCRIBE, SECOND])
        contest.session.add_frame(clip.frames[-1], hold=True)
        contest.finish(contest.session.ask(DESCRIBE), speculation.begin(), perf_counter())
        began = perf_counter()
        start = contest.session.ask(SECOND, speculation.early(SECOND))
        asked = start.question
        ours = contest.finish(start, speculation.begin(), began)
        speculation.answered(SECOND, asked, ours)
        require_equal(ours, plain, contest.limits.exact)
        ratios.append(plain.first_token_s / ours.first_token_s)
    return ratios


def decode_ratios(
    contest: Contest, clips: Iterator[Clip], make: Callable[[Session], Drafter]
) -> list[float]:
    """Plain decoding time over drafted decoding time, from the first token to the last."""
    session, ratios = contest.session, []
    drafter = make(session)
    for clip in clips:
        memory = watch(session, *clip)
        plain = contest.finish(session.ask(DESCRIBE), None, perf_counter())
        drafter.begin(memory)
        ours = contest.finish(session.ask(DESCRIBE), drafter, perf_counter())
        require_equal(ours, plain, contest.limits.exact)
        ratios.append((plain.answer_s - plain.first_token_s) / (ours.answer_s - ours.first_token_s))
    return ratios


class Hopeless:
    """A draft head whose drafts are noise: it costs what the real one costs."""

    def __init__(self, session: Session) -> None:
        self._head, self._rng = session.draft_head, np.random.default_rng(0)
        self._size = session.manifest.target.vocabulary

    def begin(self, memory: object) -> None:
        self._head.begin(memory)  # type: ignore[arg-type]  # passed through

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        self._head.observe(hidden, following)

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        drawn = self._head.propose(gamma, sampling, rng)
        return Proposal(
            tuple(int(t) for t in self._rng.integers(self._size, size=len(drawn.tokens)))
        )


def planned(session: Session) -> Planned:
    return Planned(session.draft_head, Lookup(), session.predictor, machine_costs(session))


def hopeless(session: Session) -> Planned:
    return Planned(Hopeless(session), Lookup(), session.predictor, machine_costs(session))


def scene_clips(contest: Contest, count: int) -> Iterator[Clip]:
    for seed in range(HELD_OUT, HELD_OUT + count):
        scene = Scene.from_seed(seed, contest.world)
        yield Clip(scene.frames(), scene.events())


def stream_ratios(contest: Contest, streams: int) -> list[float]:
    """Whole answers on streams of consecutive clips; the first clip of each has no previous one."""
    ratios: list[float] = []
    speculation = Speculation(contest.session, None)
    for seed in range(HELD_OUT, HELD_OUT + streams):
        for number, clip in enumerate(stream(seed, STREAM_CLIPS, contest.world)):
            seen = Clip(clip.scene.frames(), clip.events())
            plain = contest.baseline(seen, DESCRIBE)
            ours = contest.ours(seen, speculation, DESCRIBE)
            require_equal(ours, plain, contest.limits.exact)
            if number:
                ratios.append(plain.answer_s / ours.answer_s)
    return ratios


def float32_twin(bundle: Path) -> Path:
    """A bundle of the same recipe and weights whose target is float32."""
    manifest = Bundle(bundle).manifest
    recipe, twin = manifest.recipe, Path(".cache") / f"{manifest.recipe}-cpu-fp32"
    if not is_twin(twin, manifest):
        board = Path(__file__).with_name("cpu-fp32.toml")
        export = ("export", "--target", board, "--recipe", recipe, "-o", twin)
        subprocess.run([sys.executable, "-m", "xsd_edge", *map(str, export)], check=True, stdout=2)
    return twin


def is_twin(folder: Path, manifest: Manifest) -> bool:
    """Is there a bundle of the same weights that this version reads?"""
    try:
        return Bundle(folder).manifest.provenance == manifest.provenance
    except BundleError:
        return False


READY = """
import sys
from pathlib import Path
from xsd_edge.bundle import Bundle
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.speculation import Speculation
Speculation(Session(Bundle(Path(sys.argv[1]))), None)
"""


def cold_starts(bundle: Path, runs: int = 7) -> list[float]:
    """Seconds from the interpreter's start to a session that can be asked."""
    found = []
    for _ in range(runs):
        began = perf_counter()
        subprocess.run([sys.executable, "-c", READY, str(bundle)], check=True, capture_output=True)
        found.append(perf_counter() - began)
    return found


def plain_vs_genai(bundle: Path, processes: int = 7) -> list[float]:
    """Our plain loop against ONNX Runtime GenAI's, the median of each of several processes that
    hold nothing else: where weights come to lie in memory makes more of a difference between
    processes than anything does within one.
    """
    contest = [sys.executable, "-m", "benchmarks.genai_loop", str(bundle), "--runs", "8"]
    ratios = []
    for _ in range(processes):
        done = subprocess.run(contest, check=True, capture_output=True, text=True)
        ratios.append(json.loads(done.stdout.splitlines()[-1])["plain_vs_genai"]["value"])
    return ratios


RUN = """
import re, sys
from pathlib import Path
from xsd_edge.cli import app
try:
    app(["run", "--bundle", sys.argv[1], "--camera", "demo", "--fast", "--json"])
finally:
    # Not getrusage's figure, which begins with the parent's.
    status = Path("/proc/self/status").read_text()
    print(re.search(r"VmHWM:\\s+(\\d+)", status)[1], file=sys.stderr)
"""


def peak_memory(bundle: Path, runs: int = 3) -> list[float]:
    """Peak resident memory of `xsd-edge run` on the demo clip, in MB."""
    found = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(bundle)], check=False, capture_output=True, text=True
        )
        found.append(float(done.stderr.split()[-1]) / 1024)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--fp32", type=Path, help="A bundle whose target is FP32.")
    parser.add_argument("--inexact", action="store_true", help="Single rows where plain has them.")
    given = parser.parse_args()
    count = given.clips
    found: dict[str, object] = {}

    def tell(name: str, values: Sequence[float]) -> None:
        found[name] = figure(values)
        print(name, found[name], file=sys.stderr, flush=True)

    # What has processes of its own comes first, while this one holds nothing.
    tell("plain_vs_genai", plain_vs_genai(given.bundle))
    tell("cold_start_s", cold_starts(given.bundle))
    tell("peak_rss_mb", peak_memory(given.bundle))
    contest = Contest(given.bundle, exact=not given.inexact)
    whole = answers(contest, scene_clips(contest, count))
    tell("decode_speedup", decode_ratios(contest, scene_clips(contest, count), planned))
    tell("answer_speedup", whole["whole"])
    tell("first_token_speedup", whole["first"])
    tell("stream_speedup", stream_ratios(contest, max(1, count // STREAM_CLIPS)))
    tell("second_question_speedup", second_questions(contest, scene_clips(contest, count)))
    slow = decode_ratios(contest, scene_clips(contest, 2 * count), hopeless)
    tell("worst_case_slowdown", [1 / ratio for ratio in slow])
    tell("c", [measured_costs(contest.session).c for _ in range(9)])
    for name, gamma in (("host_ms_per_round", HOST_GAMMA), ("host_ms_per_planned_round", None)):
        shown = host_time.held_out(contest.world, min(count, 40))
        rounds = host_time.spent(contest.session, shown, gamma)
        tell(name, [spent.host for spent in rounds])
    full = Contest(given.fp32 or float32_twin(given.bundle), exact=not given.inexact)
    tell("decode_speedup_fp32", decode_ratios(full, scene_clips(full, count), planned))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
