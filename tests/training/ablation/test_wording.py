"""What each word and token of a caption is counted as."""

from __future__ import annotations

import re

import pytest

from tests.export.conftest import byte_tokenizer
from xsd_edge.training.ablation.wording import KINDS, kinds_of_tokens, kinds_of_words
from xsd_edge.world.scenes import Scene

pytestmark = pytest.mark.host

CAPTION = (
    "A small red circle moves slowly to the left, a large blue square moves quickly upwards, and "
    "a small white cross stays still."
)


def by_word(caption: str) -> list[tuple[str, str]]:
    kinds = kinds_of_words(caption)
    return [(m[0], kinds[m.start()]) for m in re.finditer("[A-Za-z]+|[.,]", caption)]


def test_words_by_hand() -> None:
    found = by_word(CAPTION)
    assert found[:9] == [
        ("A", "function"),
        ("small", "size"),
        ("red", "colour"),
        ("circle", "shape"),
        ("moves", "motion"),
        ("slowly", "motion"),
        ("to", "motion"),
        ("the", "motion"),
        ("left", "motion"),
    ]
    assert found[-8:] == [
        ("and", "function"),
        ("a", "function"),
        *((word, "still") for word in ("small", "white", "cross", "stays", "still")),
        (".", "function"),
    ]


def test_what_only_begins_still_is_seen_to_move() -> None:
    found = dict(by_word("A large red ring stays still then moves slowly upwards."))
    assert found["ring"] == "shape"
    assert found["stays"] == found["upwards"] == "motion"


def test_every_word_of_the_world_is_known() -> None:
    for seed in range(40):
        said = by_word(Scene.from_seed(seed).caption())
        plain = {word.lower() for word, kind in said if kind == "function"}
        assert plain <= {"a", "and", "while", ",", "."}
        assert {kind for _, kind in said} <= set(KINDS)


def test_a_token_is_what_its_first_letter_is() -> None:
    words = byte_tokenizer()
    ids = [*words.encode(f" {CAPTION}").ids, 2]  # one byte each, then the end
    kinds = kinds_of_tokens(ids, words)
    letters = kinds_of_words(f" {CAPTION}")
    expected = [
        kind if letter.isalpha() else "function"
        for letter, kind in zip(f" {CAPTION}", letters, strict=True)
    ]
    assert kinds == [*expected, "function"]
