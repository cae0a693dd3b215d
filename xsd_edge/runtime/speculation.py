"""All that drafts for one conversation: early drafts before a question, planned drafters behind it,
and what both remember of earlier answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from xsd_edge.errors import BundleError
from xsd_edge.runtime.answer import Decoding
from xsd_edge.runtime.costs import (
    Costs,
    keep_costs,
    kept_costs,
    measure_costs,
    still_true,
    this_machine,
)
from xsd_edge.runtime.drafter import Drafter, EventMemory
from xsd_edge.runtime.early import Cut, EarlyPlanner
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.loop import before_end
from xsd_edge.runtime.planner import FixedLength, Planned
from xsd_edge.runtime.session import Session


class Speculation:
    """A fixed `gamma` is the draft head alone; None lets every drafter do what pays."""

    def __init__(self, session: Session, gamma: int | None) -> None:
        """Raises BundleError where a fixed gamma finds no draft head."""
        self._session = session
        self._memory: EventMemory | None = None
        self._drafts: dict[str, Cut] = {}  # by question, of the clip that is ending
        self._last: dict[str, tuple[int, ...]] = {}  # answers by question
        self._lookup = Lookup()
        self._planner: EarlyPlanner | None = None
        self.costs: Costs | None = None  # measured only where something is chosen by them
        self._drafter: Drafter
        if gamma is not None:
            if not session.manifest.drafter.has_head:
                raise BundleError(
                    f"{session.folder} has no draft head for --gamma {gamma}; leave --gamma out, "
                    "and earlier answers are drafted from"
                )
            length = min(gamma, session.manifest.drafter.gamma_max)
            self._drafter = FixedLength(session.draft_head, length)
            return
        costs = self.costs = machine_costs(session)
        self._planner = EarlyPlanner(costs)
        head, predictor = session.draft_head, session.predictor
        self._drafter = self._planned = Planned(head, self._lookup, predictor, costs)

    def foresee(self, memory: EventMemory, questions: Sequence[str], most: int) -> None:
        """The clip's events are known: draft the answer to each question, `most` tokens at most."""
        self._memory = memory
        self._drafts = {}
        if self._planner is None:
            return
        ends = self._session.manifest.target.end_tokens
        for question in questions:
            previous = self._last.get(question, ())
            asked = self._session.question_tokens(question)
            draft = self._session.early.propose(asked, previous, memory)
            draft = draft.up_to(min(before_end(draft.tokens, ends), most - 1))
            self._drafts[question] = self._planner.cut(draft, self._planned.speed)

    def early(self, question: str) -> tuple[int, ...]:
        """What was drafted for this question, if anything."""
        return self._drafts.get(question, Cut()).tokens

    def begin(self) -> Drafter:
        """The drafter of the next answer."""
        assert self._memory is not None, "foresee() comes before begin()"
        self._drafter.begin(self._memory)
        return self._drafter

    def answered(self, question: str, asked: tuple[int, ...], decoding: Decoding) -> None:
        """Remember an answer to the question, whose own tokens were `asked`."""
        answer = tuple(decoding.tokens)
        self._last[question] = answer
        self._lookup.remember((*asked, *answer))
        if self._planner is not None:
            self._planner.learn(self._drafts.get(question, Cut()), decoding.early_accepted)


def machine_costs(session: Session) -> Costs:
    """This machine's costs on this bundle: kept from an earlier run where they are still true, or
    measured now.
    """
    folder, machine = session.folder, this_machine(session.engines)
    costs = kept_costs(folder, machine)
    if costs is None or not still_true(session.decoder, costs):
        costs = measured_costs(session)
        keep_costs(folder, machine, costs)
    return costs


def measured_costs(session: Session) -> Costs:
    """What drafting and verifying cost now, where the session's cache stands."""
    session.draft_head.begin(session.silence())
    return measure_costs(session.decoder, session.draft_head, session.manifest.drafter.gamma_max)
