"""A calibration set: the scenes and recordings that its TOML file names, as clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xsd_edge import toml_files
from xsd_edge.bundle import ClipInfo
from xsd_edge.errors import RecipeError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import count_bins, event_image
from xsd_edge.events.source import open_source
from xsd_edge.models.video_llava import sampled_frames
from xsd_edge.video.decode import video
from xsd_edge.world import scenes
from xsd_edge.world.spec import PLAIN, World


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
    caption: str = ""  # the true answer to DESCRIBE, if anybody knows it

    def counts(self, clip: ClipInfo) -> NDArray[np.float32]:
        """The event encoder's input. [2 * bins, side, side]"""
        window = (self.t0_us, self.t1_us)
        return count_bins(self.events, self.geometry, *window, clip.event_bins, clip.event_side)

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
class RecordingSpec:
    """A recording, relative to the set's file, and which windows of it are clips."""

    path: str
    windows_us: tuple[tuple[int, int], ...] = ()  # since its first event; empty: every whole clip

    def __post_init__(self) -> None:
        for start, stop in self.windows_us:
            if not 0 <= start < stop:
                raise ValueError(f"window {start} to {stop} is no window")


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """A file in calibration/."""

    scenes: int
    first_seed: int
    recordings: tuple[RecordingSpec, ...] = ()
    videos: tuple[str, ...] = ()  # files, relative to the set's: frames without events
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
        return toml_files.load(cls, set_path(spec))

    def clips(self, world: World, clip: ClipInfo, report: Callable[[str], None]) -> Iterator[Clip]:
        """All clips in order; a recording or video that is not there is reported and left out."""

        def found(name: str) -> bool:
            if (self.folder / name).is_file():
                return True
            report(f"calibration recording {self.folder / name} is not here; going on without it")
            return False

        for seed in range(self.first_seed, self.first_seed + self.scenes):
            yield scene_clip(seed, world)
        for recording in filter(lambda r: found(r.path), self.recordings):
            yield from recorded_clips(self.folder / recording.path, clip, recording.windows_us)
        for name in filter(found, self.videos):
            yield filmed_clip(self.folder / name, clip.frames)


def set_path(spec: str) -> Path:
    """The file of a set by name or path; its ranges lie beside it, with the suffix .json.

    Raises:
        RecipeError: no such set.
    """
    return toml_files.find("calibration", spec)


def digest(clips: Iterable[Clip]) -> str:
    """One hash of everything that the clips show and ask."""
    found = sha256()
    for clip in clips:
        said = (clip.geometry, clip.t0_us, clip.t1_us, clip.question, clip.answer, clip.caption)
        found.update(repr((said, clip.frames.shape, len(clip.events))).encode())
        for array in (clip.frames, clip.events.t, clip.events.x, clip.events.y, clip.events.p):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def scene_clip(seed: int, world: World = PLAIN) -> Clip:
    """A scene of a paired world with one of its questions, picked by the seed."""
    scene = scenes.Scene.from_seed(seed, world)
    asked = scene.exchanges()
    _, question, answer = asked[seed % len(asked)]
    square = Geometry(scenes.SIDE, scenes.SIDE)
    span = (0, scenes.CLIP_US)
    return Clip(scene.frames(), scene.events(), square, *span, question, answer, scene.caption())


def filmed_clip(path: Path, frames: int) -> Clip:
    """A whole video as Video-LLaVA is shown one: `frames` of its frames, evenly spread.

    Raises:
        RecipeError: no frame is in it.
        SourceError: it is no video, or damaged.
    """
    total = sum(1 for _ in video(path))
    if not total:
        raise RecipeError(f"{path} has no frames; mend the calibration set")
    wanted = sampled_frames(total, frames).tolist()
    kept = {number: timed for number, timed in enumerate(video(path)) if number in wanted}
    images = np.stack([kept[number].image for number in wanted])
    seen = Geometry(images.shape[2], images.shape[1])
    end = max(timed.t_us for timed in kept.values()) + 1
    return Clip(images, EventPacket.empty(), seen, 0, end, scenes.DESCRIBE, "")


def recorded_clips(
    path: Path, clip: ClipInfo, windows_us: Sequence[tuple[int, int]] = ()
) -> Iterator[Clip]:
    """Windows of a recording, or all its whole clips; the frames are pictures of the events, as at
    run time.

    Raises:
        RecipeError: the recording is shorter than one clip, or than a window says.
        SourceError: it cannot be read.
    """
    source = open_source(str(path))
    try:
        events = EventPacket.concatenate(list(source.packets()))
    finally:
        source.close()
    length, count = clip.duration_us, clip.frames
    span = int(events.t[-1] - events.t[0]) if len(events) else 0
    whole = [(start, start + length) for start in range(0, span - length + 1, length)]
    windows = windows_us or whole
    if not windows or max(stop for _, stop in windows) > span:
        raise RecipeError(
            f"{path} is shorter than a clip or window of its ({span} us); mend the calibration set"
        )
    for start, stop in windows:
        t0, length = int(events.t[0]) + start, stop - start
        edges = t0 + np.arange(count + 1) * length // count
        spans = [events.between(int(a), int(b)) for a, b in pairwise(edges)]
        frames = np.stack([event_image(span, source.geometry) for span in spans])
        seen = events.between(t0, t0 + length)
        yield Clip(frames, seen, source.geometry, t0, t0 + length, scenes.DESCRIBE, "")
