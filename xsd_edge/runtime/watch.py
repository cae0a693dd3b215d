"""What happens while a run answers, as one stream of facts for whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tokenizers import Tokenizer

from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import Geometry
from xsd_edge.runtime.answer import Answer
from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.loop import Round
from xsd_edge.video.frames import Image


class Scene(NamedTuple):
    """What a run works with, once all of it is open."""

    tokenizer: Tokenizer
    geometry: Geometry  # of the event sensor
    frames: str  # the kind of frame source: "recording", "video", "rendered", ...
    clip_us: int
    slices: int  # of a clip
    costs: Costs | None  # None where nobody measured them
    totals: Callable[[], dict[str, int]]  # the reader's counts, from any thread


class Watcher:
    """Hears the facts in order, in the thread that decodes: what takes long belongs elsewhere.

    This one makes nothing of them; listeners override what they care for.
    """

    def began(self, scene: Scene) -> None:
        """Everything is open, the first slice will come. Told once, before all else."""

    def saw(self, slice_: Slice, frame: Image) -> None:
        """The target has seen the frame that closes this slice. Index 0 begins a clip."""

    def asked(self, clip: int, question: str) -> None:
        """An answer about this clip begins."""

    def spoke(self, round_: Round) -> None:
        """The answer goes on by these tokens; the arrays in it are good until this returns."""

    def answered(self, answer: Answer) -> None:
        """The answer is complete."""

    def ended(self) -> None:
        """Nothing more will come, for whatever reason. Told once, after all else."""


class Watchers(Watcher):
    """Tells every listener, in the order given; none is as good as any."""

    def __init__(self, *listeners: Watcher) -> None:
        self._listeners = listeners

    def began(self, scene: Scene) -> None:
        for listener in self._listeners:
            listener.began(scene)

    def saw(self, slice_: Slice, frame: Image) -> None:
        for listener in self._listeners:
            listener.saw(slice_, frame)

    def asked(self, clip: int, question: str) -> None:
        for listener in self._listeners:
            listener.asked(clip, question)

    def spoke(self, round_: Round) -> None:
        for listener in self._listeners:
            listener.spoke(round_)

    def answered(self, answer: Answer) -> None:
        for listener in self._listeners:
            listener.answered(answer)

    def ended(self) -> None:
        for listener in self._listeners:
            listener.ended()


NOBODY = Watchers()
