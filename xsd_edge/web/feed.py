"""What the page shows: always the newest, drawn when somebody looks, once for all who do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from xsd_edge.events.cutter import Slice
from xsd_edge.runtime.answer import Answer
from xsd_edge.runtime.figures import Figures, Tally
from xsd_edge.runtime.loop import Round
from xsd_edge.runtime.watch import Scene, Watcher
from xsd_edge.video.frames import Image
from xsd_edge.web.pictures import event_png, frame_jpeg

EVENTS: Final = "e"  # the key of the event picture; those of frames are their slices' numbers
ANSWERS: Final = 12  # of the latest, which a page that is opened late shows too
SLICES: Final = 32  # of a clip, at most; more have no picture


class Drawing:
    """A picture that is encoded by the first who wants it."""

    def __init__(self, draw: Callable[[], bytes]) -> None:
        self._draw: Callable[[], bytes] | None = draw
        self._data = b""
        self._lock = threading.Lock()

    def data(self) -> bytes:
        with self._lock:
            if self._draw is not None:
                self._data, self._draw = self._draw(), None
            return self._data


class Feed(Watcher):
    """The decoding thread replaces references here and never waits; who serves pages reads them.

    `pictures` has the newest picture of each key; nothing older is kept.
    """

    def __init__(self) -> None:
        self._tally = Tally()
        self._answers: tuple[dict[str, object], ...] = ()
        self.pictures: dict[str, Drawing] = {}

    @property
    def figures(self) -> Figures:
        return self._tally.now

    def message(self, figures: Figures) -> str:
        """Those figures for the page, with the latest answers."""
        shown = asdict(figures) | {
            "pieces": [piece._asdict() for piece in figures.pieces],
            "rounds": [each._asdict() for each in figures.rounds],
            "speedup": figures.speedup._asdict() if figures.speedup else None,
            "latest": self._answers,
        }
        return json.dumps(shown, ensure_ascii=False, allow_nan=False)

    def began(self, scene: Scene) -> None:
        self._geometry = scene.geometry
        self._tally.began(scene)

    def saw(self, slice_: Slice, frame: Image) -> None:
        events, geometry = slice_.events, self._geometry
        self.pictures[EVENTS] = Drawing(lambda: event_png(events, geometry))
        if slice_.index < SLICES:
            self.pictures[str(slice_.index)] = Drawing(lambda: frame_jpeg(frame))
        self._tally.saw(slice_, frame)

    def asked(self, clip: int, question: str) -> None:
        self._tally.asked(clip, question)

    def spoke(self, round_: Round) -> None:
        self._tally.spoke(round_)

    def answered(self, answer: Answer) -> None:
        said = {
            "clip": answer.clip,
            "question": answer.question,
            "text": answer.text,
            "answer_ms": answer.decoding.answer_s * 1e3,
        }
        self._answers = (*self._answers, said)[-ANSWERS:]
        self._tally.answered(answer)

    def ended(self) -> None:
        self._tally.ended()
