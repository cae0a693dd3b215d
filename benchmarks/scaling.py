"""How answer latency and memory grow with visual tokens, answer length and event rate.

    python benchmarks/scaling.py [BUNDLE] [--repeats 3] [--plot docs/scaling.png]

Visual tokens: random ones, as many as frames of that size have, put frame by frame through the
bundle's target, whose table of positions is made longer for this; then the last frame, a question
and a plain answer of 32 tokens, which is what a person waits for. Answer length: behind a clip of
the demo. Event rate: one second of random events as an EVT3 file through decoder, clip reader and
the bundle's networks for events. Repeats go round all points. Memory is the process's peak during a
point. The last line of stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fits import line
from benchmarks.medians import figure
from benchmarks.scaling_parts import longer_target, read_clip, write_events
from xsd_edge.bundle import Bundle
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.loop import Limits, Prefilled, generate
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.verifier import GreedyVerifier

FRAMES, TOKENS = (1, 2, 4, 8, 16, 32), (17, 65, 257)  # of a clip, of a frame
LENGTHS = (1, 16, 32, 64, 128, 256)  # tokens of an answer
RATES = (0.1, 1.0, 2.0, 5.0, 10.0, 20.0)  # million events a second
QUESTION = [1] * 12  # tokens; which ones makes no difference to the time
ANSWER = 32  # tokens
SENSOR = Geometry(640, 480)
SECOND_US = 1_000_000

Measured = Mapping[str, float]  # milliseconds and megabytes, by name


class Sweep(NamedTuple):
    """Points of one kind; what grows, with the unit of x."""

    unit: str
    points: Mapping[Any, float]  # how each point is called for -> its x
    measure: Callable[[Any], Measured]


def peak_from_here() -> None:
    """Give back free memory; let the kernel forget the peak so far (man 5 proc, clear_refs)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def answer_ms(decoder: Decoder, start: Prefilled, tokens: int, began: float) -> float:
    """Milliseconds since `began` when a plain answer is whole."""
    said = 0
    for round_ in generate(decoder, start, GreedyVerifier(), Sampling(), Limits(tokens)):
        said += len(round_.tokens)
    assert said == tokens
    return (perf_counter() - began) * 1e3


def visual_sweep(bundle: Bundle, folder: Path, tokens: int, clips: Sequence[int] = FRAMES) -> Sweep:
    """Clips of frames that have so many tokens each."""
    info = replace(bundle.manifest.target, end_tokens=(), masked_tokens=())
    table = np.load(bundle.named("embedding"), mmap_mode="r", allow_pickle=False)
    longest = max(clips) * tokens + len(QUESTION) + ANSWER
    graph = longer_target(bundle, folder, longest)
    rng = np.random.default_rng(0)
    frame = rng.normal(0, 0.1, (tokens, info.hidden)).astype(np.float32)

    def measure(frames: int) -> Measured:
        context = frames * tokens + len(QUESTION) + ANSWER
        peak_from_here()
        engine = OnnxEngine(graph)
        decoder = Decoder(engine, replace(info, context=context), np.asarray(table))
        began = perf_counter()
        for _ in range(frames - 1):
            decoder.prefill(frame)
        watched = perf_counter()
        last = np.concatenate([frame, decoder.embed(QUESTION)])
        logits, hidden = decoder.prefill(last)
        start = Prefilled(logits, hidden[-1:], (QUESTION[-1],))
        found = {
            "after the clip's end": answer_ms(decoder, start, ANSWER, watched),
            "read before it": (watched - began) * 1e3,
            "peak_mb": peak_mb(),
        }
        engine.close()
        return found

    unit = f"visual tokens, {tokens} a frame"
    return Sweep(unit, {frames: frames * tokens for frames in clips}, measure)


def length_sweep(session: Session, lengths: Sequence[int] = LENGTHS) -> Sweep:
    clip = session.manifest.clip
    frame = np.zeros((clip.image_side, clip.image_side, 3), np.uint8)
    decoder = session.decoder
    decoder.info = replace(decoder.info, end_tokens=(), masked_tokens=())
    session.begin_clip()
    for _ in range(clip.frames):
        session.add_frame(frame)

    def measure(tokens: int) -> Measured:
        peak_from_here()
        began = perf_counter()
        start = session.ask("What moves?")
        return {"whole answer": answer_ms(decoder, start, tokens, began), "peak_mb": peak_mb()}

    return Sweep("tokens of the answer", {n: n for n in lengths}, measure)


def event_sweep(session: Session, folder: Path, rates: Sequence[float] = RATES) -> Sweep:
    files = {rate: write_events(folder / f"{rate}.raw", SENSOR, rate) for rate in rates}

    def measure(rate: float) -> Measured:
        peak_from_here()
        began = perf_counter()
        slices = read_clip(files[rate], SECOND_US, session.manifest.clip.frames)
        read = perf_counter()
        events = EventPacket.concatenate([each.events for each in slices])
        session.read_events(events, SENSOR, slices[0].t0_us, slices[-1].t1_us)
        known = perf_counter()
        start = session.ask("What moves?")
        return {
            "decoding and cutting": (read - began) * 1e3,
            "representation and networks": (known - read) * 1e3,
            "question and answer": answer_ms(session.decoder, start, ANSWER, known),
            "peak_mb": peak_mb(),
        }

    return Sweep("million events a second", {rate: rate for rate in rates}, measure)


def run(sweep: Sweep, repeats: int) -> dict[str, Any]:
    """Every point in every repeat; medians, and a line through them for each quantity."""
    seen: dict[Any, list[Measured]] = {point: [] for point in sweep.points}
    for repeat in range(repeats + 1):
        for point in sweep.points:
            found = sweep.measure(point)
            if repeat:  # the first one warms up
                seen[point].append(found)
        print(f"{sweep.unit}: {repeat} of {repeats}", file=sys.stderr, flush=True)
    names = list(next(iter(seen.values()))[0])
    rows = [
        {"point": point, "x": x, **{n: figure([m[n] for m in seen[point]]) for n in names}}
        for point, x in sweep.points.items()
    ]
    return {"unit": sweep.unit, "rows": rows, "lines": {n: fitted(rows, n) for n in names}}


def fitted(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    found = line([row["x"] for row in rows], [row[name]["value"] for row in rows])
    return {k: float(f"{v:.4g}") for k, v in found._asdict().items()} | {"linear": found.linear}


def draw(sweeps: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """A row a sweep: times on the left, memory on the right, with the fitted lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    picture, axes = plt.subplots(len(sweeps), 2, figsize=(7.5, 2.1 * len(sweeps)), squeeze=False)
    for (left, right), sweep in zip(axes, sweeps.values(), strict=True):
        for name, fit in sweep["lines"].items():
            axis = right if name == "peak_mb" else left
            x = np.array([row["x"] for row in sweep["rows"]])
            (dots,) = axis.plot(x, [row[name]["value"] for row in sweep["rows"]], "o", ms=3)
            ends = np.array([0, x.max()])
            axis.plot(ends, fit["intercept"] + fit["slope"] * ends, lw=1, color=dots.get_color())
            if axis is left:
                dots.set_label(name)
        left.legend(fontsize=7, frameon=False)
        for axis, unit in ((left, "ms"), (right, "peak MB")):
            axis.set_ylim(bottom=0)
            axis.set_xlabel(sweep["unit"], fontsize=8)
            axis.set_ylabel(unit, fontsize=8)
            axis.tick_params(labelsize=7)
            axis.spines[["top", "right"]].set_visible(False)
    picture.tight_layout()
    picture.savefig(path, dpi=85)
    Image.open(path).convert("RGB").quantize(32).save(path, optimize=True)  # a third of the bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/demo-cpu"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["events", "length", "visual"])
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    bundle, found = Bundle(given.bundle), {}
    session = Session(bundle)
    length = length_sweep(session)  # shows the clip that the questions are about
    with tempfile.TemporaryDirectory(prefix=".scaling.", dir=given.bundle.parent) as scratch:
        if "events" in given.only:
            found["events"] = run(event_sweep(session, Path(scratch)), given.repeats)
        if "length" in given.only:
            found["length"] = run(length, given.repeats)
        del session, length
        if "visual" in given.only:
            for tokens in TOKENS:
                folder = Path(scratch, str(tokens))
                folder.mkdir()
                sweep = visual_sweep(bundle, folder, tokens)
                found[f"visual_{tokens}"] = run(sweep, given.repeats)
    if given.plot:
        draw(found, given.plot)
    print(json.dumps({"sweeps": found, "repeats": given.repeats}))


if __name__ == "__main__":
    main()
