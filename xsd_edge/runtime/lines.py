"""Answers as lines on stdout: JSON for programs, text that grows as it is said for people."""

from __future__ import annotations

from xsd_edge import console
from xsd_edge.runtime.answer import Answer
from xsd_edge.runtime.loop import Round
from xsd_edge.runtime.report import answer_fields, answer_head, answer_tail
from xsd_edge.runtime.text import AnswerText
from xsd_edge.runtime.watch import Scene, Watcher


class JsonLines(Watcher):
    """One JSON line an answer."""

    def began(self, scene: Scene) -> None:
        self._frames = scene.frames

    def answered(self, answer: Answer) -> None:
        console.data_json(answer_fields(answer) | {"frames": self._frames})


class TextLines(Watcher):
    """One line an answer, written as far as the answer has come."""

    def __init__(self) -> None:
        self._open = False

    def began(self, scene: Scene) -> None:
        self._tokenizer = scene.tokenizer

    def asked(self, clip: int, question: str) -> None:
        self._text = AnswerText(self._tokenizer)
        console.data_part(answer_head(clip, question))
        self._open = True

    def spoke(self, round_: Round) -> None:
        console.data_part(self._text.feed(round_.tokens))

    def answered(self, answer: Answer) -> None:
        console.data(self._text.finish() + answer_tail(answer))
        self._open = False

    def ended(self) -> None:
        if self._open:  # interrupted: what follows begins a line of its own
            console.data("")
