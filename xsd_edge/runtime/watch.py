"""What happens while a run answers, as one stream of facts for whoever listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the pipeline speaks, and needs to know only whom to
    from xsd_edge.events.cutter import Slice
    from xsd_edge.runtime.loop import Round
    from xsd_edge.runtime.pipeline import Answer
    from xsd_edge.video.frames import Image


class Watcher(Protocol):
    """Hears the facts in order, in the thread that decodes: what takes long belongs elsewhere."""

    def saw(self, slice_: Slice, frame: Image) -> None:
        """The target has seen the frame that closes this slice. Index 0 begins a clip."""

    def asked(self, clip: int, question: str) -> None:
        """An answer about this clip begins."""

    def spoke(self, round_: Round) -> None:
        """The answer goes on by these tokens; the arrays in it are good until this returns."""

    def answered(self, answer: Answer) -> None:
        """The answer is complete."""


class Watchers(Watcher):
    """Tells every listener, in the order given; none is as good as any."""

    def __init__(self, *listeners: Watcher) -> None:
        self._listeners = listeners

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


NOBODY = Watchers()
