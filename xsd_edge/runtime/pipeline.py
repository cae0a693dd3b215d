"""From slices of the event stream to answers: frames are prefilled as they come, questions when the
clip ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from xsd_edge.events.clips import ClipReader
from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.loop import Limits, Prefilled, Round, generate, margin
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.planner import AdaptivePlanner, FixedPlanner, Planner, measure_costs
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.verifier import verifier_for
from xsd_edge.runtime.watch import NOBODY, Watcher
from xsd_edge.video.frames import FrameSource


@dataclass
class Decoding:
    """One answer's tokens and what they took."""

    tokens: list[int] = field(default_factory=list)
    rounds: int = 0  # target passes after the prefill
    drafted: int = 0
    accepted: int = 0
    first_token_s: float = 0.0  # from when the answer could begin
    answer_s: float = 0.0
    decode_s: float = 0.0  # from the first token to the last

    @property
    def decoded(self) -> int:
        """Tokens that decoding passes brought: the first one comes with the prefill."""
        return len(self.tokens) - 1


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where greedy speculative and plain decoding part ways, and how close the plain run's choice
    was.
    """

    position: int
    margin: float  # top-2 logit margin of plain decoding there


@dataclass(frozen=True, slots=True)
class Answer:
    """One question about one clip, answered."""

    clip: int
    t0_us: int
    t1_us: int
    question: str
    text: str
    decoding: Decoding
    plain: Decoding | None
    mismatch: Mismatch | None
    events: int
    events_dropped: int
    stages: dict[str, float]


class Pipeline:
    """Answers every question about every clip that a reader delivers."""

    def __init__(
        self,
        session: Session,
        reader: ClipReader,
        geometry: Geometry,
        frames: FrameSource,
        options: RunOptions,
        watcher: Watcher = NOBODY,
    ) -> None:
        self._session, self._reader, self._frames = session, reader, frames
        self._geometry, self._options, self._watcher = geometry, options, watcher
        self._sampling = Sampling(options.temperature, options.top_k, options.top_p)
        self._limits = Limits(options.max_tokens, options.exact)
        self._planner = None if options.plain else self._make_planner()

    def answers(self) -> Iterator[Answer]:
        seen: list[Slice] = []
        clips = 0
        for slice_ in self._reader:
            # Without real time a clip has no end to count from but when it is handed out.
            ended = slice_.ready_s if self._reader.drop_late else perf_counter()
            if slice_.index == 0:
                self._session.begin_clip()
                seen.clear()
            seen.append(slice_)
            frame = self._frames.at(slice_)
            self._session.add_frame(frame)
            self._watcher.saw(slice_, frame)
            if not slice_.last:
                continue
            yield from self._answer_clip(seen, ended)
            clips += 1
            if clips == self._options.max_clips:
                return

    def _answer_clip(self, slices: list[Slice], possible_since: float) -> Iterator[Answer]:
        first, last = slices[0], slices[-1]
        events = EventPacket.concatenate([s.events for s in slices])
        memory = None
        if self._planner is not None:
            memory = self._session.read_events(events, self._geometry, first.t0_us, last.t1_us)
        for number, question in enumerate(self._options.prompts):
            self._watcher.asked(first.clip, question)
            prefilled = self._session.ask(question)
            seed = np.random.SeedSequence((self._options.seed, first.clip, number))
            decoding = self._decode(prefilled, seed, memory, possible_since)
            # The comparison is not part of this answer: its stages and clock stop here.
            stages = self._session.stages.take()
            plain, mismatch = None, None
            if self._options.compare_plain:
                plain, mismatch = self._compare(prefilled, seed, decoding)
            answer = Answer(
                first.clip,
                first.t0_us,
                last.t1_us,
                question,
                self._session.text(decoding.tokens),
                decoding,
                plain,
                mismatch,
                len(events),
                sum(s.events_dropped for s in slices),
                stages,
            )
            self._watcher.answered(answer)
            yield answer
            possible_since = perf_counter()  # a further question could not begin before

    def _decode(
        self,
        start: Prefilled,
        seed: np.random.SeedSequence,
        memory: EventMemory | None,
        possible_since: float,
    ) -> Decoding:
        decoding = Decoding()
        for round_ in self._rounds(start, seed, memory):
            now = perf_counter()
            if not decoding.tokens:
                decoding.first_token_s = now - possible_since
            decoding.answer_s = now - possible_since
            decoding.tokens += round_.tokens
            decoding.drafted += round_.drafted
            decoding.accepted += round_.accepted
            for stage in ("draft", "verify", "judge"):
                self._session.stages.add(stage, getattr(round_, f"{stage}_s"))
            decoding.rounds += 1
            self._watcher.spoke(round_)
        decoding.rounds -= 1  # the prefill's own token
        decoding.decode_s = decoding.answer_s - decoding.first_token_s
        return decoding

    def _rounds(
        self, start: Prefilled, seed: np.random.SeedSequence, memory: EventMemory | None
    ) -> Iterator[Round]:
        """Speculative rounds, or plain ones without a memory; the same seed gives the same verifier
        stream.
        """
        judging, drawing = (np.random.default_rng(s) for s in _spawned(seed))
        verifier = verifier_for(self._sampling, self._options.mode, judging)
        drafter, planner = None, None
        if memory is not None and self._planner is not None:
            drafter, planner = self._session.draft_head, self._planner
            drafter.begin(memory)
            planner.begin(memory)
        decoder = self._session.decoder
        return generate(
            decoder, start, verifier, self._sampling, self._limits, drafter, planner, drawing
        )

    def _compare(
        self, start: Prefilled, seed: np.random.SeedSequence, spoken: Decoding
    ) -> tuple[Decoding, Mismatch | None]:
        """The same answer by plain decoding, and where it first differs."""
        self._session.rewind()
        plain, mismatch = Decoding(), None
        began = perf_counter()
        for round_ in self._rounds(start, seed, None):
            plain.answer_s = perf_counter() - began
            if not plain.tokens:
                plain.first_token_s = plain.answer_s
            at = len(plain.tokens)
            plain.tokens += round_.tokens
            if mismatch is None and spoken.tokens[at : at + 1] != list(round_.tokens):
                mismatch = Mismatch(at, margin(round_.logits[0]))
            plain.rounds += 1
        plain.rounds -= 1
        plain.decode_s = plain.answer_s - plain.first_token_s
        if mismatch is None and len(spoken.tokens) != len(plain.tokens):
            mismatch = Mismatch(len(plain.tokens), 0.0)
        return plain, mismatch

    def _make_planner(self) -> Planner:
        if self._options.gamma is not None:
            return FixedPlanner(min(self._options.gamma, self._session.manifest.drafter.gamma_max))
        info = self._session.manifest.drafter
        head = self._session.draft_head
        head.begin(self._session.silence())
        costs = measure_costs(self._session.decoder, head, info.gamma_max)
        return AdaptivePlanner(self._session.predictor, info.gamma_max, costs)


def _spawned(seed: np.random.SeedSequence) -> list[np.random.SeedSequence]:
    """Two independent streams; unlike `spawn`, asking again gives the same ones."""
    key = tuple(seed.spawn_key)
    return [np.random.SeedSequence(seed.entropy, spawn_key=(*key, i)) for i in range(2)]
