"""Every row in the real loop: drafted, verified by the target, and timed in turns with plain
decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsd_edge.recipe import Recipe
from xsd_edge.runtime.costs import measure_costs
from xsd_edge.runtime.drafter import Drafter, EventMemory
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.loop import Prefilled
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.verifier import Proposal, verifier_for
from xsd_edge.training.ablation.corpus import kinds_asked
from xsd_edge.training.ablation.rows import Row
from xsd_edge.training.ablation.variant import Seen, Variant, embedded
from xsd_edge.training.ablation.wording import kinds_of_tokens
from xsd_edge.training.distill import event_counts
from xsd_edge.training.early import of_kinds
from xsd_edge.training.examination import UNFORESEEN, Manner, Spoken, speak_with
from xsd_edge.world.frame_camera import SHARP, FrameCamera
from xsd_edge.world.scenes import DESCRIBE, HELD_OUT
from xsd_edge.world.spec import World
from xsd_edge.world.streams import StreamClip, stream

GAMMA: Final = 5
GREEDY, SAMPLED = Manner(GAMMA), Manner(GAMMA, temperature=1.0)
NOTHING: Final = np.zeros((1, 0, 0), np.float32)
SILENT: Final = EventMemory(NOTHING[None], NOTHING, NOTHING[None], NOTHING[None])


class Asked(NamedTuple):
    """One question about a clip that has been shown."""

    seen: Seen
    question: tuple[int, ...]
    previous: tuple[int, ...]  # the last clip's answer to it


class Competitor(NamedTuple):
    """A row ready to draft; without a variant it looks up."""

    row: Row
    drafter: Drafter
    variant: Variant | None

    def begun(self, asked: Asked) -> AtLength:
        """The drafter at the start of an answer."""
        drafter = self.drafter
        memory = SILENT
        if self.variant is not None:
            with torch.inference_mode():
                keys, values = (part.float().numpy() for part in self.variant(asked.seen))
            memory = SILENT._replace(keys=keys, values=values)
        elif isinstance(drafter, Lookup):
            drafter = Lookup()
            drafter.remember((*asked.question, *asked.previous))
        drafter.begin(memory)
        return AtLength(drafter, self.row.hidden)


class AtLength:
    """Drafts of one length; the target's hidden states are kept from who may not see them."""

    predicted = UNFORESEEN

    def __init__(self, drafter: Drafter, hidden: bool) -> None:
        self._drafter, self._hidden = drafter, hidden
        self.proposed: tuple[int, ...] = ()

    def begin(self, memory: EventMemory) -> None:
        self._drafter.begin(memory)

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        self.proposed = ()
        self._drafter.observe(hidden if self._hidden else np.zeros_like(hidden), following)

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        drawn = self._drafter.propose(min(GAMMA, gamma), sampling, rng)
        self.proposed = drawn.tokens
        return drawn


@dataclass
class Tally:
    """What became of one row's drafts about one stream."""

    greedy: list[int] = field(default_factory=lambda: [0, 0, 0, 0])  # judged, stood, tokens, rounds
    sampled: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    said: dict[str, list[int]] = field(default_factory=dict)  # by kind: judged, stood
    gains: list[float] = field(default_factory=list)  # plain over drafted seconds, per caption

    def add_greedy(self, spoken: Spoken) -> None:
        _count(self.greedy, spoken)

    def add_sampled(self, spoken: Spoken) -> None:
        _count(self.sampled, spoken)

    def add_caption(self, spoken: Spoken, plain: Spoken, kinds: Sequence[str]) -> None:
        """`kinds` of the drafted answer's tokens."""
        self.gains.append(plain.seconds / spoken.seconds)
        place = 1  # the first token came with the question's pass
        for round_ in spoken.rounds:
            for draft in range(round_.judged):
                counts = self.said.setdefault(kinds[place + draft], [0, 0])
                counts[0] += 1
                counts[1] += draft < round_.accepted
            place += round_.tokens


def _count(counts: list[int], spoken: Spoken) -> None:
    counts[0] += sum(r.judged for r in spoken.rounds)
    counts[1] += sum(r.accepted for r in spoken.rounds)
    counts[2] += spoken.decoded
    counts[3] += len(spoken.rounds)


class Arena:
    """A session in which rows answer the same questions in turns."""

    def __init__(self, session: Session, recipe: Recipe, table: Tensor, world: World) -> None:
        assert recipe.early is not None
        assert recipe.ablation is not None
        self.session, self._recipe, self._table, self._world = session, recipe, table, world
        self._longest, self._questions = recipe.early.previous, recipe.ablation.questions

    def stream(
        self, seed: int, clips: int, camera: FrameCamera, rows: Sequence[Competitor]
    ) -> dict[str, Any]:
        """Answer about a stream's clips but the first; the record of it, ready for JSON."""
        tallies = {competitor.row.name: Tally() for competitor in rows}
        exact: list[bool] = []
        kinds = kinds_asked(seed, self._questions)
        previous: dict[str, tuple[int, ...]] = {}
        for clip in stream(seed, clips, self._world):
            seen = self._shown(clip, camera)
            for number, exchange in enumerate(of_kinds(clip.scene, kinds)):
                ids = tuple(self.session.question_tokens(exchange.question))
                start = self.session.ask(exchange.question).kept()
                dice = (clip.scene.seed, number)
                plain = self._spoken(start, None, GREEDY, dice)
                if before := previous.get(exchange.kind):
                    rows = (*rows[1:], *rows[:1])  # nobody always goes first
                    asked = Asked(self._with(seen, before), ids, before)
                    for competitor in rows:
                        tally = tallies[competitor.row.name]
                        spoken = self._spoken(start, competitor.begun(asked), GREEDY, dice)
                        tally.add_greedy(spoken)
                        drafter = competitor.begun(asked)
                        tally.add_sampled(self._spoken(start, drafter, SAMPLED, dice))
                        if exchange.question == DESCRIBE:
                            told = kinds_of_tokens(spoken.tokens, self.session.tokenizer)
                            tally.add_caption(spoken, plain, told)
                    if exchange.question == DESCRIBE:
                        text = self.session.text(plain.tokens)
                        exact.append(text == exchange.answer)
                previous[exchange.kind] = tuple(plain.tokens)
        rows_found = {name: vars(tally) for name, tally in tallies.items()}
        return {"seed": seed, "captions": len(exact), "exact": sum(exact), "rows": rows_found}

    def costs(self, rows: Sequence[Competitor]) -> dict[str, float]:
        """c of each row: the time of one drafted token in plain steps, behind a clip."""
        clip = next(stream(HELD_OUT, 1, self._world))
        zeros = (0,) * GAMMA * 2  # as the texts that costs are taken on
        asked = Asked(self._with(self._shown(clip, SHARP), zeros), zeros, zeros)
        self.session.ask(DESCRIBE)
        decoder = self.session.decoder
        return {r.row.name: measure_costs(decoder, r.begun(asked), GAMMA).c for r in rows}

    def _shown(self, clip: StreamClip, camera: FrameCamera) -> Seen:
        session, frames = self.session, clip.scene.frames(camera)
        session.begin_clip()
        first = session.senses.look(frames[0])
        for frame in frames:
            session.add_frame(frame)
        counts = event_counts(clip.events(), self._recipe)
        nothing = torch.zeros(1, 0, 0)
        return Seen(torch.from_numpy(counts)[None], torch.from_numpy(first)[None], nothing)

    def _with(self, seen: Seen, before: Sequence[int]) -> Seen:
        rows = embedded(np.array(before), self._table, self._longest)
        return Seen(seen.counts, seen.frame, rows[None])

    def _spoken(
        self, start: Prefilled, drafter: AtLength | None, manner: Manner, dice: tuple[int, int]
    ) -> Spoken:
        self.session.rewind()
        judging, drawing = (np.random.default_rng((*dice, of)) for of in (0, 1))
        verifier = verifier_for(Sampling(manner.temperature), manner.mode, judging)
        return speak_with(self.session, start, drafter, manner, verifier, drawing)
