"""Clips of the plain and the rich world, drawn in turns: milliseconds each, and a sheet of them.

    python -m benchmarks.worlds [--scenes N] [--sheet FILE.png]

A clip is its scene, exchanges, eight frames and events. A row of the sheet is a scene's frames, the
events of three slices, and its caption. The last line of stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.medians import figure
from xsd_edge.events.packet import Geometry
from xsd_edge.events.representation import event_image
from xsd_edge.world.scenes import CLIP_US, FRAMES, HELD_OUT, SIDE, Scene
from xsd_edge.world.spec import LEVELS, World

ZOOM = 2
SHEET_ROWS = 12  # of each world
CAPTION = 14  # pixels
SLICES = (0, 3, 7)  # whose events are shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in LEVELS}
    for seed in range(HELD_OUT, HELD_OUT + given.scenes):
        for name, world in LEVELS.items():
            seconds[name].append(timed(seed, world))
    if given.sheet:
        worlds = [(seed, w) for w in LEVELS.values() for seed in range(SHEET_ROWS)]
        sheet([Scene.from_seed(HELD_OUT + seed, world) for seed, world in worlds], given.sheet)
    took = {name: figure([s * 1e3 for s in values]) for name, values in seconds.items()}
    ratio = np.divide(seconds["rich"], seconds["plain"]).tolist()
    print(json.dumps({"clip_ms": took, "rich_over_plain": figure(ratio)}))


def timed(seed: int, world: World) -> float:
    began = perf_counter()
    scene = Scene.from_seed(seed, world)
    scene.exchanges()
    scene.frames()
    scene.events()
    return perf_counter() - began


def sheet(drawn: list[Scene], path: Path) -> None:
    side, tall = ZOOM * SIDE, ZOOM * SIDE + CAPTION
    page = Image.new("RGB", ((FRAMES + len(SLICES)) * side, tall * len(drawn)), "white")
    text = ImageDraw.Draw(page)
    for row, scene in enumerate(drawn):
        events, step = scene.events(), CLIP_US // FRAMES
        slices = [events.between(i * step, (i + 1) * step) for i in SLICES]
        pictures = [event_image(part, Geometry(SIDE, SIDE)) for part in slices]
        for column, picture in enumerate((*scene.frames(), *pictures)):
            large = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
            page.paste(large, (column * side, row * tall))
        said = f"{scene.seed}: {scene.caption()}  ({len(events)} events)"
        text.text((2, row * tall + side + 1), said, fill="black")
    page.save(path)


if __name__ == "__main__":
    main()
