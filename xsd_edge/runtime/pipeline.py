"""From slices of the event stream to answers: frames are prefilled as they come, drafts are made
before the clip ends, questions are asked when it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import Geometry
from xsd_edge.runtime.ahead import Ahead, Slices, sense
from xsd_edge.runtime.answer import Answer, Decoding, Mismatch
from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.drafter import Drafter
from xsd_edge.runtime.loop import Limits, Prefilled, Round, generate, margin
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.speculation import Speculation
from xsd_edge.runtime.verifier import verifier_for
from xsd_edge.runtime.watch import NOBODY, Watcher
from xsd_edge.video.frames import FrameSource


class Pipeline:
    """Answers every question about every clip that a reader delivers."""

    def __init__(
        self,
        session: Session,
        reader: Slices,
        geometry: Geometry,
        frames: FrameSource,
        options: RunOptions,
        watcher: Watcher = NOBODY,
        ahead: bool = False,
    ) -> None:
        """With `ahead` the senses run in a thread of their own."""
        self._session, self._reader, self._options = session, reader, options
        self._watcher, count = watcher, session.manifest.clip.frames
        read = None if options.plain else geometry  # plain decoding needs no events
        sensed = sense(reader, frames, session.senses, read, count)
        self._sensed = Ahead(sensed, reader, count) if ahead else sensed
        self._sampling = Sampling(options.temperature, options.top_k, options.top_p)
        self._limits = Limits(options.max_tokens, options.exact)
        self._speculation = None if options.plain else Speculation(session, options.gamma)

    @property
    def costs(self) -> Costs | None:
        """What drafting and verifying cost here; None where that was not measured."""
        return self._speculation.costs if self._speculation else None

    def answers(self) -> Iterator[Answer]:
        seen: list[Slice] = []
        clips, idle_since = 0, perf_counter()
        for slice_, began, frame, visual, memory, stages in self._sensed:
            # Without real time a clip has no end to count from but when it is handed out.
            ended = slice_.ready_s if self._reader.drop_late else max(began, idle_since)
            if slice_.index == 0:
                self._session.begin_clip()
                seen.clear()
            seen.append(slice_)
            self._session.stages.absorb(stages)
            self._session.add_visual(visual, hold=slice_.last)
            self._watcher.saw(slice_, frame)
            # Drafting before the last slice costs nothing that anybody waits for.
            if self._speculation is not None and memory is not None:
                with self._session.stages.time("early_draft"):
                    self._speculation.foresee(
                        memory, self._options.prompts, self._limits.max_tokens
                    )
            if not slice_.last:
                continue
            yield from self._answer_clip(seen, ended)
            clips, idle_since = clips + 1, perf_counter()
            if clips == self._options.max_clips:
                return

    def _answer_clip(self, slices: list[Slice], possible_since: float) -> Iterator[Answer]:
        first, last = slices[0], slices[-1]
        for number, question in enumerate(self._options.prompts):
            self._watcher.asked(first.clip, question)
            draft = self._speculation.early(question) if self._speculation else ()
            prefilled = self._session.ask(question, draft)
            again = prefilled.kept() if self._options.compare_plain else None
            seed = np.random.SeedSequence((self._options.seed, first.clip, number))
            decoding = self._decode(prefilled, seed, possible_since)
            text = self._session.text(decoding.tokens)
            # The comparison is not part of this answer: its stages and clock stop here.
            stages = self._session.stages.take()
            if self._speculation is not None:
                self._speculation.answered(question, prefilled.question, decoding)
            plain, mismatch = self._compare(again, seed, decoding) if again else (None, None)
            answer = Answer(
                first.clip,
                first.t0_us,
                last.t1_us,
                question,
                text,
                decoding,
                plain,
                mismatch,
                sum(len(s.events) for s in slices),
                sum(s.events_dropped for s in slices),
                stages,
            )
            self._watcher.answered(answer)
            yield answer
            possible_since = perf_counter()  # a further question could not begin before

    def _decode(
        self, start: Prefilled, seed: np.random.SeedSequence, possible_since: float
    ) -> Decoding:
        decoding, stages = Decoding(), self._session.stages
        drafter = self._speculation.begin() if self._speculation else None
        for round_ in self._rounds(start, seed, drafter):
            decoding.add(round_, perf_counter() - possible_since)
            for stage in ("draft", "verify", "judge"):
                stages.add(stage, getattr(round_, f"{stage}_s"))
            self._watcher.spoke(round_)
        return decoding

    def _rounds(
        self, start: Prefilled, seed: np.random.SeedSequence, drafter: Drafter | None
    ) -> Iterator[Round]:
        """The same seed gives the same verifier stream, whatever is drafted."""
        judging, drawing = (np.random.default_rng(s) for s in _spawned(seed))
        verifier = verifier_for(self._sampling, self._options.mode, judging)
        decoder = self._session.decoder
        return generate(decoder, start, verifier, self._sampling, self._limits, drafter, drawing)

    def _compare(
        self, start: Prefilled, seed: np.random.SeedSequence, spoken: Decoding
    ) -> tuple[Decoding, Mismatch | None]:
        """The same answer by plain decoding, and where it first differs."""
        self._session.rewind()
        plain, mismatch = Decoding(), None
        began = perf_counter()
        for round_ in self._rounds(start, seed, None):
            at = len(plain.tokens)
            plain.add(round_, perf_counter() - began)
            if mismatch is None and spoken.tokens[at : at + 1] != list(round_.tokens):
                mismatch = Mismatch(at, margin(round_.logits[0]))
        if mismatch is None and len(spoken.tokens) != len(plain.tokens):
            mismatch = Mismatch(len(plain.tokens), 0.0)
        return plain, mismatch


def _spawned(seed: np.random.SeedSequence) -> list[np.random.SeedSequence]:
    """Two independent streams; unlike `spawn`, asking again gives the same ones."""
    key = tuple(seed.spawn_key)
    return [np.random.SeedSequence(seed.entropy, spawn_key=(*key, i)) for i in range(2)]
