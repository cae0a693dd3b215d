"""The figures of a run while it runs, for whoever draws them: a terminal, a web page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from xsd_edge.events.cutter import Slice
from xsd_edge.runtime.answer import Answer, Totals
from xsd_edge.runtime.loop import Round
from xsd_edge.runtime.text import AnswerText
from xsd_edge.runtime.watch import Scene, Watcher
from xsd_edge.video.frames import Image

RATES: Final = 64  # slices whose event rate is kept: eight clips of eight
ROUNDS: Final = 64  # of one answer


class Piece(NamedTuple):
    """Text that came at once; `drafted` is False where the target itself chose it."""

    text: str
    drafted: bool


class Drafted(NamedTuple):
    """One round: gamma drafted tokens, and how many of them the target accepted."""

    gamma: int
    accepted: int


class Speedup(NamedTuple):
    """Decoding against plain decoding; estimated from measured costs unless both were timed."""

    ratio: float
    timed: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is known at one moment. Answer figures are the newest answer's, said or being said.

    `acceptance` and `per_pass` (tokens a target pass brings behind the question's own) are over all
    answers so far, None until there is something to divide.
    """

    state: Literal["loading", "watching", "answering", "ended"] = "loading"
    sensor: str = ""
    frames: str = ""
    clip: int = 0
    seen: int = 0  # slices of it
    slices: int = 0  # of any clip
    rates: tuple[float, ...] = ()  # events per second of the latest slices, oldest first
    events: int = 0
    events_dropped: int = 0
    clips_dropped: int = 0
    question: str = ""
    about: int = 0  # the clip that it was asked about; `clip` may be a later one by now
    pieces: tuple[Piece, ...] = ()
    rounds: tuple[Drafted, ...] = ()  # the latest
    answer_ms: float | None = None  # None while it is being said
    stages_ms: tuple[tuple[str, float], ...] = ()  # of the last complete answer
    answers: int = 0
    acceptance: float | None = None
    per_pass: float | None = None
    speedup: Speedup | None = None

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


class Tally(Watcher):
    """Keeps `now` up to date; a reader in another thread always finds one whole moment."""

    def __init__(self) -> None:
        self.now = Figures()
        self._drafted = self._accepted = self._decoded = self._passes = 0
        self._price = 0.0  # of the passes, in plain steps
        self._spoken, self._plain = Totals(), Totals()

    def began(self, scene: Scene) -> None:
        self._scene = scene
        self.now = replace(
            self.now,
            state="watching",
            sensor=str(scene.geometry),
            frames=scene.frames,
            slices=scene.slices,
        )

    def saw(self, slice_: Slice, frame: Image) -> None:
        rate = len(slice_.events) * 1e6 / (slice_.t1_us - slice_.t0_us)
        counts = self._scene.totals()
        self.now = replace(
            self.now,
            state="watching",
            clip=slice_.clip,
            seen=slice_.index + 1,
            rates=(*self.now.rates, rate)[-RATES:],
            events=counts["events"],
            events_dropped=counts["events_dropped"],
            clips_dropped=counts["windows_dropped"],
        )

    def asked(self, clip: int, question: str) -> None:
        self._text = AnswerText(self._scene.tokenizer)
        self._first = True
        self.now = replace(
            self.now,
            state="answering",
            about=clip,
            question=question,
            pieces=(),
            rounds=(),
            answer_ms=None,
        )

    def spoke(self, round_: Round) -> None:
        self._drafted += round_.drafted
        self._accepted += round_.accepted
        if not self._first:  # the question's own pass is no decoding
            self._decoded += len(round_.tokens)
            self._passes += 1
            self._price += self._price_of(round_.drafted)
        self._first = False
        drafts = Piece(self._text.feed(round_.tokens[: round_.accepted]), True)
        own = Piece(self._text.feed(round_.tokens[round_.accepted :]), False)
        rounds = (*self.now.rounds, Drafted(round_.drafted, round_.accepted))
        self.now = replace(
            self.now,
            pieces=_joined(self.now.pieces, drafts, own),
            rounds=rounds[-ROUNDS:],
            acceptance=self._accepted / self._drafted if self._drafted else None,
            per_pass=self._decoded / self._passes if self._passes else None,
            speedup=self._speedup(),
        )

    def answered(self, answer: Answer) -> None:
        if answer.plain is not None:
            self._spoken.add(answer.decoding)
            self._plain.add(answer.plain)
        self.now = replace(
            self.now,
            state="watching",
            pieces=_joined(self.now.pieces, Piece(self._text.finish(), False)),
            answer_ms=answer.decoding.answer_s * 1e3,
            stages_ms=tuple((name, s * 1e3) for name, s in answer.stages.items()),
            answers=self.now.answers + 1,
            speedup=self._speedup(),
        )

    def ended(self) -> None:
        self.now = replace(self.now, state="ended")

    def _price_of(self, gamma: int) -> float:
        """In plain steps; noise while the costs were measured must not make it cheaper than one."""
        costs = self._scene.costs
        return max(1.0, costs.round(min(gamma, len(costs.v) - 1))) if costs is not None else 0.0

    def _speedup(self) -> Speedup | None:
        spoken, plain = self._spoken, self._plain
        if spoken.decoded and plain.decoded and spoken.decode_s:
            return Speedup(plain.seconds_a_token / spoken.seconds_a_token, True)
        return Speedup(self._decoded / self._price, False) if self._price else None


def _joined(pieces: tuple[Piece, ...], *more: Piece) -> tuple[Piece, ...]:
    """Pieces of one kind in a row are one; empty ones are none."""
    joined = list(pieces)
    for piece in more:
        if joined and piece.text and joined[-1].drafted == piece.drafted:
            joined[-1] = Piece(joined[-1].text + piece.text, piece.drafted)
        elif piece.text:
            joined.append(piece)
    return tuple(joined)
