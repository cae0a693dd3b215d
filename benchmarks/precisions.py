"""How long each small network of a bundle takes in each precision, on its reference input.

    python benchmarks/precisions.py BUNDLE [--threads 1] [--runs 200]

The draft head runs one row behind 60, as when it drafts. The last line of stdout is one JSON
document of median milliseconds, taken in turns.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from xsd_edge.bundle import Bundle, TensorSpec
from xsd_edge.runtime.engine import Array, EngineOptions
from xsd_edge.runtime.onnx_engine import OnnxEngine

SIZES = {"n": 1, "m": 1, "V": 100, "S": 60, "T": 61}  # of the dimensions that vary
WHERE = {"position": 60, "token": 0, "newest": 60, "total": 61}  # in a head's sequence


def resized(stored: Array, spec: TensorSpec) -> Array:
    """The reference input with its varying dimensions cut or repeated to `SIZES`."""
    shape = [SIZES[d] if isinstance(d, str) else d for d in spec.shape]
    if stored.size == 0:
        return np.zeros(shape, stored.dtype)
    if spec.name in WHERE:
        return np.full(shape, WHERE[spec.name], stored.dtype)
    return np.resize(stored, shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=200)
    given = parser.parse_args()
    bundle, options = Bundle(given.bundle), EngineOptions(threads=given.threads, spinning=False)
    found: dict[str, dict[str, float]] = {}
    for name, part in bundle.manifest.parts.items():
        if name == "target" or part.reference is None:
            continue
        stored = np.load(bundle.file(part.reference), allow_pickle=False)
        feeds = {spec.name: resized(stored[f"in.{spec.name}"], spec) for spec in part.inputs}
        results = {spec.name: resized(stored[f"out.{spec.name}"], spec) for spec in part.outputs}
        engines = {p: OnnxEngine(bundle.graph(name, p), options) for p in part.files}
        times: dict[str, list[float]] = {precision: [] for precision in engines}
        for _ in range(given.runs):
            for precision, engine in engines.items():
                began = perf_counter()
                engine.run(feeds, results)
                times[precision].append((perf_counter() - began) * 1e3)
        found[name] = {precision: round(median(t), 3) for precision, t in times.items()}
        print(name, found[name])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
