"""The figures that live views show, from the facts of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.runtime.told import TOKENIZER, frame_of, round_of, scene, slice_of, tell
from xsd_edge.runtime.answer import Decoding
from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.figures import Drafted, Piece, Tally

EMOJI = "\N{FACE WITH TEARS OF JOY}"


def test_before_anything() -> None:
    assert Tally().now.state == "loading"


def test_the_camera() -> None:
    tally = Tally()
    tally.began(scene())
    slice_ = slice_of(3, 1, events=250)
    tally.saw(slice_, frame_of(slice_))
    now = tally.now
    assert (now.state, now.sensor, now.frames) == ("watching", "62x40", "recording")
    assert (now.clip, now.seen, now.slices) == (3, 2, 8)
    assert now.rates == (2000.0,)  # 250 events in 125 ms
    assert (now.events, now.events_dropped, now.clips_dropped) == (800, 7, 1)


def test_an_answer_stays_that_of_its_own_clip() -> None:
    """While the next clip is watched, the last answer still stands there."""
    tally = Tally()
    tally.began(scene())
    tell(tally, 4, [round_of("A")])
    slice_ = slice_of(5, 0)
    tally.saw(slice_, frame_of(slice_))
    assert (tally.now.clip, tally.now.seen, tally.now.about) == (5, 1, 4)


def test_drafted_text_is_kept_apart() -> None:
    tally = Tally()
    tally.began(scene())
    tally.asked(0, "What?")
    assert tally.now.state == "answering"
    tally.spoke(round_of(" A"))
    tally.spoke(round_of(" car", gamma=5, accepted=3))
    tally.spoke(round_of(" go", gamma=2, accepted=0))
    assert tally.now.pieces == (Piece("A", False), Piece(" ca", True), Piece("r go", False))
    assert tally.now.rounds == (Drafted(0, 0), Drafted(5, 3), Drafted(2, 0))
    assert tally.now.acceptance == pytest.approx(3 / 7)
    assert tally.now.per_pass == pytest.approx(7 / 2)  # the question's own pass aside


def test_a_character_belongs_to_the_token_that_completes_it() -> None:
    tally = Tally()
    tally.began(scene())
    tally.asked(0, "What?")
    tally.spoke(round_of("x" + EMOJI, gamma=4, accepted=4))
    assert tally.now.pieces == (Piece("x", True), Piece(EMOJI, False))


def test_a_whole_answer() -> None:
    tally = Tally()
    tally.began(scene())
    answer = tell(tally, 0, [round_of("A c"), round_of("at \n", gamma=3, accepted=3)])
    assert tally.now.text == answer.text == "A cat"
    assert tally.now.answers == 1
    assert tally.now.answer_ms == pytest.approx(200)
    assert dict(tally.now.stages_ms) == pytest.approx({"vision": 20.0, "verify": 50.0})
    tally.ended()
    assert tally.now.state == "ended"


def test_the_speedup_is_estimated_from_costs() -> None:
    tally = Tally()
    tally.began(scene(Costs(0.1, (1.0, 1.2, 1.4, 1.6, 1.8), 0.1)))
    tally.asked(0, "What?")
    tally.spoke(round_of("a"))
    assert tally.now.speedup is None
    tally.spoke(round_of("bcde", gamma=4, accepted=3))  # four tokens for 4 * 0.1 + 1.8
    assert tally.now.speedup is not None
    assert not tally.now.speedup.timed
    assert tally.now.speedup.ratio == pytest.approx(4 / 2.2)


def test_a_timed_speedup_counts_more_than_an_estimate() -> None:
    tally = Tally()
    tally.began(scene(Costs(0.1, (1.0, 1.2), 0.1)))
    answer = tell(tally, 0, [round_of("a"), round_of("bc", gamma=1, accepted=1)])
    plain = Decoding()
    for number, token in enumerate(TOKENIZER.encode("abc").ids):
        plain.add(round_of("a")._replace(tokens=(token,)), 0.1 + 0.2 * number)
    tally.answered(replace(answer, plain=plain))
    # Two tokens in 100 ms against two in 400 ms.
    assert tally.now.speedup is not None
    assert tally.now.speedup.timed
    assert tally.now.speedup.ratio == pytest.approx(4.0)


def test_a_moment_does_not_change() -> None:
    """A reader in another thread keeps what it took."""
    tally = Tally()
    tally.began(scene())
    tally.asked(0, "What?")
    tally.spoke(round_of("one"))
    moment = tally.now
    tally.spoke(round_of(" two"))
    assert moment.text == "one"
    assert tally.now.text == "one two"
