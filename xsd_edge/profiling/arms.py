"""Two arms, drafted and plain: each answers every clip whole, as `run` would, in turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import NamedTuple

from xsd_edge.events.clips import ClipReader
from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import Geometry
from xsd_edge.profiling.taps import RoundCall, RoundTap
from xsd_edge.runtime.answer import Answer
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.pipeline import Pipeline
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.stages import Call
from xsd_edge.video.frames import FrameSource, Image

DRAFTED, PLAIN = "drafted", "plain"


class Clip(NamedTuple):
    """A clip as it came from the source: each slice with the frame that closes it."""

    slices: tuple[Slice, ...]
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class Take:
    """All answers of one arm about one clip, and everything that happened on the way."""

    began: float  # on perf_counter's clock
    ended: float
    answers: tuple[Answer, ...]
    stages: tuple[Call, ...]
    engines: tuple[Call, ...]
    rounds: tuple[RoundCall, ...]

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Pair(NamedTuple):
    """The same clip, answered both ways one right after the other."""

    drafted: Take
    plain: Take


def clips(reader: ClipReader, frames: FrameSource, spent: list[Call]) -> Iterator[Clip]:
    """Whole clips of a source; the time that getting their frames took goes to `spent`."""
    slices: list[Slice] = []
    images: list[Image] = []
    for slice_ in reader:
        if slice_.index == 0:
            slices, images = [], []
        began = perf_counter()
        images.append(frames.at(slice_).copy())
        spent.append(Call("frame_read", began, perf_counter() - began))
        slices.append(slice_)
        if slice_.last:
            yield Clip(tuple(slices), tuple(images))


@dataclass
class Replay:
    """Reader and frame source in one, for a pipeline that is handed its clips."""

    kind: str
    drop_late: bool = False  # a clip handed in whole is answered from when it is handed in
    _waiting: deque[Clip] = field(default_factory=deque)
    _images: tuple[Image, ...] = ()

    def hand_in(self, clip: Clip) -> None:
        self._waiting.append(clip)

    def __iter__(self) -> Iterator[Slice]:
        while self._waiting:
            clip = self._waiting.popleft()
            self._images = clip.images
            yield from clip.slices

    def withdraw(self, slices: list[Slice]) -> bool:
        """Nothing is late here."""
        return False

    def at(self, slice_: Slice) -> Image:
        return self._images[slice_.index]


class Arm:
    """One way of answering. Its pipeline lives as long as the arm, with all that it learns."""

    def __init__(
        self, session: Session, geometry: Geometry, kind: str, options: RunOptions, tap: RoundTap
    ) -> None:
        self._session, self._tap, self._questions = session, tap, len(options.prompts)
        self._replay = Replay(kind)
        pipeline = Pipeline(session, self._replay, geometry, self._replay, options, tap)
        self._answers = pipeline.answers()

    def take(self, clip: Clip) -> Take:
        self._replay.hand_in(clip)
        self._session.stages.record()
        self._tap.rounds, first = [], len(self._tap.engines)
        began = perf_counter()
        answers = tuple(next(self._answers) for _ in range(self._questions))
        ended = perf_counter()
        stages = tuple(self._session.stages.record())
        engines = tuple(self._tap.engines[first:])
        return Take(began, ended, answers, stages, engines, tuple(self._tap.rounds))


class Arms:
    """Both ways over one session; which goes first alternates, so that neither profits from it.

    A new pair of arms remembers no answers: where a source is played again, nothing can be drafted
    from what was said about the very same clip.
    """

    def __init__(
        self,
        session: Session,
        geometry: Geometry,
        kind: str,
        options: RunOptions,
        engines: list[Call],
    ) -> None:
        def arm(plain: bool) -> Arm:
            asked = replace(options, plain=plain, gamma=None if plain else options.gamma)
            return Arm(session, geometry, kind, asked, RoundTap(engines))

        self._drafted, self._plain = arm(False), arm(True)

    def pair(self, clip: Clip, plain_first: bool) -> Pair:
        if plain_first:
            plain = self._plain.take(clip)
            return Pair(self._drafted.take(clip), plain)
        drafted = self._drafted.take(clip)
        return Pair(drafted, self._plain.take(clip))
