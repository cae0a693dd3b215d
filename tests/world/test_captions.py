"""Captions read back: a round trip with the scenes' own, and attributes counted by hand."""

from __future__ import annotations

import pytest

from xsd_edge.world.captions import AttributeScore, Said, parse
from xsd_edge.world.scenes import Scene
from xsd_edge.world.things import Thing

CROSS = Thing("cross", "blue", "large", 40, 40, "upwards", "slowly")
CIRCLE = Thing("circle", "red", "small", 20, 20)
BOTH = Scene(0, (CROSS, CIRCLE), 30.0, (0.0, 0.0))


def test_every_caption_reads_back_as_its_scene() -> None:
    for seed in range(500):
        scene = Scene.from_seed(seed)
        assert parse(scene.caption()) == tuple(map(Said.of, scene.told))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "A red circle stays still.",
        "A small red circle stays still",
        "a small red circle stays still.",
        "A small red circle stays still. ",
        "A small red circle moves slowly.",
        "A small red circle moves upwards slowly.",
        "A small red circle stays still and a large blue cross stays still.",
        "A small red circle stays still, a large blue cross stays still.",
        "A small red circle stays still, and a large blue cross stays still.",
        "A small red circle stays still while a large blue cross stays still, and a small red "
        "cross stays still.",
        "A small red circle stays still then stops.",
        "A small red circle stays still then slowly upwards.",
        "A small red circle moves slowly upwards then stays still.",
        "A small red circle moves slowly upwards then slowly upwards.",
        "A small red circle moves slowly upwards then moves quickly upwards.",
        "Nothing.",
    ],
)
def test_what_is_no_caption_is_not_read(text: str) -> None:
    assert parse(text) is None


def shares(caption: str) -> dict[str, float | None]:
    score = AttributeScore()
    score.add(BOTH, caption)
    return score.shares()


def test_a_true_caption_gets_everything_right() -> None:
    assert set(shares(BOTH.caption()).values()) == {1.0}


def test_one_wrong_word_costs_its_own_attribute_only() -> None:
    found = shares("A large green cross moves slowly upwards while a small red circle stays still.")
    assert found == {
        "shape": 1.0,
        "colour": 0.5,
        "size": 1.0,
        "direction": 1.0,
        "speed": 1.0,
        "still": 1.0,
    }
    found = shares(
        "A large blue square moves quickly upwards while a small red circle moves slowly upwards."
    )
    assert (found["shape"], found["colour"], found["still"]) == (0.5, 1.0, 0.5)
    assert (found["direction"], found["speed"]) == (1.0, 0.0)  # of the cross, the only one moving


def test_what_is_missing_is_wrong_and_what_is_too_many_a_wrong_shape() -> None:
    assert shares("A small red circle stays still.") == {
        "shape": 0.5,
        "colour": 0.5,
        "size": 0.5,
        "direction": 0.0,
        "speed": 0.0,
        "still": 0.5,
    }
    more = f"{BOTH.caption()[:-1].replace(' while', ',')}, and a small red square stays still."
    assert shares(more)["shape"] == pytest.approx(2 / 3)
    assert shares(more)["colour"] == 1.0
    assert shares("gibberish")["shape"] == 0.0


def test_nothing_moving_asks_no_direction() -> None:
    score = AttributeScore()
    still = Scene(0, (CIRCLE,), 30.0, (0.0, 0.0))
    score.add(still, still.caption())
    assert score.shares()["direction"] is None
    assert score.shares()["still"] == 1.0
