"""A calibration set: the scenes and recordings that its TOML file names, as clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xsd_edge import toml_files
from xsd_edge.bundle import sha256_of
from xsd_edge.errors import RecipeError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import count_bins, event_image
from xsd_edge.events.source import open_source
from xsd_edge.recipe import Recipe
from xsd_edge.training import scenes


@dataclass(frozen=True, slots=True)
class Clip:
    """What the cameras saw during one clip, and an exchange about it."""

    frames: NDArray[np.uint8]  # [frames, H, W, 3] RGB
    events: EventPacket
    geometry: Geometry
    t0_us: int
    t1_us: int
    question: str
    answer: str  # empty: nobody has written down the truth

    def counts(self, recipe: Recipe) -> NDArray[np.float32]:
        """The event encoder's input. [2 * bins, side, side]"""
        spec = recipe.drafter
        window = (self.t0_us, self.t1_us)
        return count_bins(self.events, self.geometry, *window, spec.event_bins, spec.event_side)

    def save(self, path: Path) -> None:
        """Write a recording with frames, in the npz format that `events` reads."""
        count = len(self.frames)
        ends = self.t0_us + np.arange(1, count + 1) * (self.t1_us - self.t0_us) // count
        np.savez_compressed(
            path,
            t=self.events.t,
            x=self.events.x,
            y=self.events.y,
            p=self.events.p,
            width=self.geometry.width,
            height=self.geometry.height,
            frames=self.frames,
            frames_t_us=ends.astype(np.int64),  # a frame closes the interval that ends with it
        )


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """A file in calibration/. Paths of recordings are relative to the file."""

    scenes: int
    first_seed: int
    recordings: tuple[str, ...]
    folder: Path = Path()

    def __post_init__(self) -> None:
        if self.scenes < 1:
            raise ValueError("scenes must be at least 1")
        if self.first_seed + self.scenes > scenes.HELD_OUT:
            raise ValueError(f"scenes must stay below the held-out seeds ({scenes.HELD_OUT})")

    @classmethod
    def load(cls, spec: str) -> CalibrationSet:
        """A set by name or path.

        Raises:
            RecipeError: no such set (the known ones are listed), or its file is wrong.
        """
        return toml_files.load(cls, toml_files.find("calibration", spec))

    def digest(self) -> str:
        """What the set holds, recordings by their bytes."""
        found = [path for path in map(self.folder.joinpath, self.recordings) if path.is_file()]
        what = [self.scenes, self.first_seed, *(sha256_of(path) for path in found)]
        return sha256(repr(what).encode()).hexdigest()

    def clips(self, recipe: Recipe, report: Callable[[str], None]) -> Iterator[Clip]:
        """All clips in order; a recording that is not there is reported and left out."""
        for seed in range(self.first_seed, self.first_seed + self.scenes):
            yield scene_clip(seed)
        for recording in self.recordings:
            path = self.folder / recording
            if path.is_file():
                yield from recorded_clips(path, recipe)
            else:
                report(f"calibration recording {path} is not here; going on without it")


def scene_clip(seed: int) -> Clip:
    """A scene of the paired world with one of its questions, picked by the seed."""
    scene = scenes.Scene.from_seed(seed)
    asked = scene.exchanges()
    _, question, answer = asked[seed % len(asked)]
    square = Geometry(scenes.SIDE, scenes.SIDE)
    return Clip(scene.frames(), scene.events(), square, 0, scenes.CLIP_US, question, answer)


def recorded_clips(path: Path, recipe: Recipe) -> Iterator[Clip]:
    """Whole clips of a recording; the frames are pictures of the events, as at run time.

    Raises:
        RecipeError: the recording is shorter than one clip.
        SourceError: it cannot be read.
    """
    source = open_source(str(path))
    try:
        events = EventPacket.concatenate(list(source.packets()))
    finally:
        source.close()
    length, count = recipe.target.clip_us, recipe.target.frames
    if len(events) == 0 or events.t[-1] - events.t[0] < length:
        raise RecipeError(f"{path} is shorter than a clip; take it out of the calibration set")
    for t0 in range(int(events.t[0]), int(events.t[-1]) - length + 1, length):
        edges = t0 + np.arange(count + 1) * length // count
        spans = [events.between(int(a), int(b)) for a, b in pairwise(edges)]
        frames = [event_image(span, source.geometry) for span in spans]
        clip = events.between(t0, t0 + length)
        yield Clip(np.stack(frames), clip, source.geometry, t0, t0 + length, scenes.DESCRIBE, "")
