"""Asks a loaded bundle about scenes and keeps what every round of its answers did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import BundleError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.runtime.drafter import Drafter, EventMemory
from xsd_edge.runtime.loop import Limits, Prefilled, Round, generate
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.verifier import Proposal, Verifier, verifier_for
from xsd_edge.world import scenes
from xsd_edge.world.scenes import QuestionAnswer, Scene

UNFORESEEN = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Manner:
    """How answers are decoded."""

    gamma: int = 5
    temperature: float = 0.0
    mode: str = "rejection"
    exact: bool = False
    max_tokens: int = 64  # the longest caption takes about 50


class Pass(NamedTuple):
    """One round without its arrays, and what the acceptance predictor had said before it."""

    tokens: int  # emitted
    judged: int  # drafts whose turn came: a rejection or the answer's end hides the others
    accepted: int  # of those
    seconds: float
    predicted: NDArray[np.float64]  # [gamma_max] P(draft i accepted | those before were)


@dataclass
class Spoken:
    """One answer. The prefill's own token is in `tokens`, but no round brought it."""

    tokens: list[int] = field(default_factory=list)
    rounds: list[Pass] = field(default_factory=list)

    @property
    def decoded(self) -> int:
        return len(self.tokens) - 1

    @property
    def seconds(self) -> float:
        return sum(r.seconds for r in self.rounds)


class Forecaster(Drafter, Protocol):
    """A drafter that may say beforehand how likely each of its drafts is to stand."""

    predicted: NDArray[np.float64]  # [gamma_max], or empty
    proposed: tuple[int, ...]  # this round, before the loop cut it at an end token


class PredictingDrafter:
    """The draft head at one length; keeps what the acceptance predictor said before each draft."""

    def __init__(self, session: Session, length: int) -> None:
        """Raises BundleError where there is no draft head."""
        info = session.manifest.drafter
        if session.predictor is None:
            raise BundleError(
                f"{session.folder} has no draft head to judge; export one that has been trained"
            )
        self._head, self._engine = session.draft_head, session.predictor
        self._length = min(length, info.gamma_max)
        self._logits = np.zeros((1, info.gamma_max), np.float32)
        self._feeds: dict[str, NDArray[np.float32]] = {}
        self.predicted = np.zeros(info.gamma_max)
        self.proposed: tuple[int, ...] = ()

    def begin(self, memory: EventMemory) -> None:
        self._feeds["aligned"] = memory.aligned
        self._head.begin(memory)

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        self.proposed = ()
        self._feeds["hidden"] = hidden[-1:].copy()
        self._head.observe(hidden, following)

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        self._engine.run(self._feeds, {"logits": self._logits})
        self.predicted = 1.0 / (1.0 + np.exp(-self._logits[0].astype(np.float64)))
        drawn = self._head.propose(min(self._length, gamma), sampling, rng)
        self.proposed = drawn.tokens
        return drawn


def show(session: Session, scene: Scene) -> EventMemory:
    """Show a scene: its frames are prefilled, its events become the drafter's memory."""
    return watch(session, scene.frames(), scene.events())


def watch(session: Session, frames: NDArray[np.uint8], events: EventPacket) -> EventMemory:
    """The same for frames [T, S, S, 3] and events of any clip of the paired world."""
    session.begin_clip()
    for frame in frames:
        session.add_frame(frame)
    square = Geometry(scenes.SIDE, scenes.SIDE)
    return session.read_events(events, square, 0, scenes.CLIP_US)


def exchanges(scene: Scene) -> list[QuestionAnswer]:
    """The caption, and one question of each kind that the scene has; the seed picks which."""
    rng = np.random.default_rng((scene.seed, 8))
    kinds: dict[str, list[QuestionAnswer]] = {}
    for asked in scene.exchanges():
        kinds.setdefault(asked.kind, []).append(asked)
    return [same[int(rng.integers(len(same)))] for same in kinds.values()]


def answer(
    session: Session,
    start: Prefilled,
    memory: EventMemory | None,
    manner: Manner,
    seed: tuple[int, ...],
) -> Spoken:
    """Answer the question just asked; plainly without a memory.

    The same seed gives the verifier the same random numbers, drafted or not.
    """
    judging, drawing = (np.random.default_rng((*seed, stream)) for stream in (0, 1))
    sampling = Sampling(manner.temperature)
    verifier = verifier_for(sampling, manner.mode, judging)
    return speak(session, start, memory, manner, verifier, drawing)


def speak(
    session: Session,
    start: Prefilled,
    memory: EventMemory | None,
    manner: Manner,
    verifier: Verifier,
    drawing: np.random.Generator,
) -> Spoken:
    """`answer` with a verifier of one's own."""
    drafter = None
    if memory is not None:
        drafter = PredictingDrafter(session, manner.gamma)
        drafter.begin(memory)
    return speak_with(session, start, drafter, manner, verifier, drawing)


def speak_with(
    session: Session,
    start: Prefilled,
    drafter: Forecaster | None,
    manner: Manner,
    verifier: Verifier,
    drawing: np.random.Generator,
) -> Spoken:
    """`speak` with any drafter that has begun."""
    rounds = generate(
        session.decoder,
        start,
        verifier,
        Sampling(manner.temperature),
        Limits(manner.max_tokens, manner.exact),
        drafter,
        drawing,
    )
    spoken = Spoken()
    for number, round_ in enumerate(rounds):
        spoken.tokens += round_.tokens
        if number:
            known = (drafter.predicted, drafter.proposed) if drafter else (UNFORESEEN, ())
            spoken.rounds.append(_pass(round_, *known))
    return spoken


def _pass(round_: Round, predicted: NDArray[np.float64], proposed: Sequence[int]) -> Pass:
    said = len(round_.tokens)
    ended_inside = said <= round_.accepted  # the answer's end was one of the drafts
    judged = said if ended_inside else min(round_.drafted, round_.accepted + 1)
    accepted = min(round_.accepted, said)
    if round_.drafted == round_.accepted < min(said, len(proposed)):
        # The loop cut the draft at an end token, and the target's own token tells if that was so.
        judged += 1
        accepted += round_.tokens[-1] == proposed[round_.drafted]
    seconds = round_.draft_s + round_.verify_s + round_.judge_s
    return Pass(said, judged, accepted, seconds, predicted)
