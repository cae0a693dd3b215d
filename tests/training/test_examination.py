"""What counts as a judged draft, and answers of a real bundle with and without drafts."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.runtime.session import Session
from xsd_edge.training.examination import Manner, _pass, answer, exchanges, show
from xsd_edge.world.scenes import DESCRIBE, HELD_OUT, Scene

pytestmark = pytest.mark.host


@pytest.mark.parametrize(
    ("tokens", "drafted", "accepted", "judged"),
    [
        (1, 0, 0, 0),  # nothing drafted
        (1, 5, 0, 1),  # the first draft fell: the four behind it were never judged
        (4, 5, 3, 4),
        (6, 5, 5, 5),  # all stood, and the target's own token came behind them
        (2, 5, 4, 2),  # the answer ended with the second draft
        (5, 5, 5, 5),  # ... with the last
    ],
)
def test_drafts_are_judged_up_to_the_first_rejection_or_the_end(
    tokens: int, drafted: int, accepted: int, judged: int
) -> None:
    from xsd_edge.runtime.loop import Round

    none = np.zeros((tokens, 1), np.float32)
    round_ = Round(tuple(range(tokens)), drafted, accepted, 0.1, 0.2, 0.3, none, none)
    found = _pass(round_, np.zeros(8), range(drafted))
    assert found.judged == judged
    assert found.accepted == min(accepted, tokens)
    assert found.seconds == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("tokens", "accepted", "proposed", "judged", "stood"),
    [
        ((5, 7, 0), 2, (5, 7, 0, 9), 3, 3),  # the target ended there, too
        ((5, 7, 8), 2, (5, 7, 0, 9), 3, 2),  # it went on
        ((5, 6), 1, (5, 7, 0, 9), 2, 1),  # a draft before the end fell: nobody knows
        ((0,), 0, (0, 4), 1, 1),  # nothing but an end was drafted
    ],
)
def test_an_end_that_was_drafted_is_judged_by_the_targets_own_token(
    tokens: tuple[int, ...], accepted: int, proposed: tuple[int, ...], judged: int, stood: int
) -> None:
    from xsd_edge.runtime.loop import Round

    none = np.zeros((len(tokens), 1), np.float32)
    round_ = Round(tokens, proposed.index(0), accepted, 0.1, 0.2, 0.3, none, none)
    found = _pass(round_, np.zeros(8), proposed)
    assert (found.judged, found.accepted) == (judged, stood)


def test_one_question_of_each_kind() -> None:
    for seed in range(HELD_OUT, HELD_OUT + 30):
        scene = Scene.from_seed(seed)
        picked = exchanges(scene)
        assert picked[0].question == DESCRIBE
        kinds = [asked.kind for asked in picked]
        assert len(set(kinds)) == len(kinds)
        assert set(kinds) == {asked.kind for asked in scene.exchanges()}
        assert picked == exchanges(scene)


def test_greedy_answers_are_the_same_with_and_without_drafts() -> None:
    session = Session(Bundle(TINY_BUNDLE))
    scene = Scene.from_seed(HELD_OUT)
    memory = show(session, scene)
    start = session.ask(DESCRIBE).kept()
    manner = Manner(exact=True, max_tokens=12)
    drafted = answer(session, start, memory, manner, (0,))
    session.rewind()
    plain = answer(session, start, None, manner, (0,))
    assert drafted.tokens == plain.tokens
    assert sum(r.tokens for r in drafted.rounds) == drafted.decoded
    assert {r.judged for r in plain.rounds} == {0}
    assert all(((r.predicted > 0) & (r.predicted < 1)).all() for r in drafted.rounds if r.judged)
