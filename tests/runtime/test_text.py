"""Streamed text: whole characters only, and in sum exactly what decoding everything gives."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from tests.conftest import TINY_BUNDLE
from xsd_edge.runtime.text import AnswerText, TextStream

EMOJI = "\N{FACE WITH TEARS OF JOY}"
FAMILY = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
LETTERS = [*"aé日 \n", EMOJI, FAMILY, "\N{REPLACEMENT CHARACTER}"]
TEXTS = st.lists(st.sampled_from(LETTERS)).map("".join)


def bytes_tokenizer() -> Tokenizer:
    """The tiny bundle's: every byte is a token, and there are special ones."""
    return Tokenizer.from_file(str(TINY_BUNDLE / "tokenizer.json"))


def llama_tokenizer() -> Tokenizer:
    """As Llama's: words with a leading bar, bytes for what is no word; the first space goes."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["\u2581", "\u2581a", "\u2581man", "man", "é", "日", "\u2581" * 3]
    made = Tokenizer(
        models.BPE({word: number for number, word in enumerate(words)}, [], byte_fallback=True)
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.add_special_tokens([AddedToken("</s>", special=True)])
    return made


def merging_tokenizer() -> Tokenizer:
    """Bytes merged across characters: a token may end one and begin the next."""
    made = Tokenizer.from_file(str(TINY_BUNDLE / "tokenizer.json"))
    pieces = [bytes_tokenizer().encode(text).tokens for text in (EMOJI + EMOJI, "日é", FAMILY)]
    joined = [piece[at] + piece[at + 1] for piece in pieces for at in range(len(piece) - 1)]
    vocabulary = made.get_vocab()
    for token in dict.fromkeys(joined):
        vocabulary.setdefault(token, len(vocabulary))
    merges = [pair for piece in pieces for pair in pairwise(piece)]
    merged = Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(merges))))
    merged.pre_tokenizer = pre_tokenizers.Split(Regex("$^"), "isolated")
    merged.decoder = decoders.ByteLevel()
    return merged


TOKENIZERS = {
    "bytes": bytes_tokenizer(),
    "llama": llama_tokenizer(),
    "merging": merging_tokenizer(),
}


def streamed(tokenizer: Tokenizer, rounds: list[list[int]]) -> list[str]:
    stream = TextStream(tokenizer)
    return [*(stream.feed(tokens) for tokens in rounds), stream.finish()]


def rounds_of(tokens: list[int], lengths: list[int]) -> list[list[int]]:
    rounds, at = [], 0
    for length in lengths:
        rounds.append(tokens[at : at + length])
        at += length
    return [*rounds, tokens[at:]]


@pytest.mark.parametrize("name", TOKENIZERS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_pieces_are_the_whole(name: str, data: st.DataObject) -> None:
    """Any tokens, sense or none, some beyond the vocabulary, in rounds of any length."""
    tokenizer = TOKENIZERS[name]
    ids = st.integers(0, tokenizer.get_vocab_size() + 3)
    sense = TEXTS.map(lambda text: tokenizer.encode(text).ids)
    parts = data.draw(st.lists(st.one_of(st.lists(ids, max_size=8), sense), max_size=6))
    tokens = [token for part in parts for token in part]
    lengths = data.draw(st.lists(st.integers(0, 9), max_size=12))
    whole = tokenizer.decode(tokens, skip_special_tokens=True)
    assert "".join(streamed(tokenizer, rounds_of(tokens, lengths))) == whole
    assert "".join(streamed(tokenizer, [[token] for token in tokens])) == whole


@given(text=TEXTS.filter(lambda text: "\N{REPLACEMENT CHARACTER}" not in text))
def test_no_piece_of_good_text_is_broken(text: str) -> None:
    tokenizer = TOKENIZERS["bytes"]
    pieces = streamed(tokenizer, [[token] for token in tokenizer.encode(text).ids])
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)
    assert pieces[-1] == ""
    assert "".join(pieces) == text


def test_an_emoji_comes_with_its_last_byte() -> None:
    tokenizer = TOKENIZERS["bytes"]
    ids = tokenizer.encode("a" + EMOJI).ids
    assert len(ids) == 5
    assert streamed(tokenizer, [[token] for token in ids]) == ["a", "", "", "", EMOJI, ""]


def test_a_cut_character_is_said_at_the_end() -> None:
    tokenizer = TOKENIZERS["bytes"]
    ids = tokenizer.encode("a" + EMOJI).ids[:-1]
    pieces = streamed(tokenizer, [ids])
    assert pieces == ["a", "\N{REPLACEMENT CHARACTER}"]


def test_word_after_word_at_once() -> None:
    """Text does not wait for the next word."""
    tokenizer = TOKENIZERS["llama"]
    vocabulary = tokenizer.get_vocab()
    ids = [vocabulary[word] for word in ("\u2581a", "\u2581man", "man")]
    assert streamed(tokenizer, [[token] for token in ids]) == ["a", " man", "man", ""]


class Counting:
    """The tokenizer, and how many tokens it was given to decode."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self.decoded = tokenizer, 0

    def decode(self, ids: list[int], **options: bool) -> str:
        self.decoded += len(ids)
        return str(self._tokenizer.decode(ids, **options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


@given(text=TEXTS, lengths=st.lists(st.integers(0, 9), max_size=12))
def test_an_answer_has_no_space_around_it(text: str, lengths: list[int]) -> None:
    tokenizer = TOKENIZERS["bytes"]
    answer = AnswerText(tokenizer)
    rounds = rounds_of(tokenizer.encode(f" {text}\n").ids, lengths)
    assert "".join([*map(answer.feed, rounds), answer.finish()]) == text.strip()


def test_what_is_settled_is_not_decoded_again() -> None:
    counting = Counting(TOKENIZERS["bytes"])
    ids = counting.encode("word " * 200).ids
    stream = TextStream(cast(Tokenizer, counting))
    for token in ids:
        stream.feed([token])
    assert counting.decoded <= 3 * len(ids)
