"""Tokens to text as they come: only characters that no later token can change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tokenizers import Tokenizer

BYTE_TOKEN: Final = re.compile(r"<0x[0-9A-Fa-f]{2}>")  # SentencePiece's byte fallback
BROKEN: Final = "\N{REPLACEMENT CHARACTER}"


class TextStream:
    """One answer's text in pieces. All pieces, `finish` included, are the decoding of all tokens.

    A token may end in the middle of a character, and of a run of byte tokens the decoder judges the
    whole. What is unsettled so is held back until the next tokens settle it; tokens that say
    nothing (special ones, and padding of the vocabulary) settle nothing.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._silent = {number for number, token in added.items() if token.special}
        self._before: list[int] = []  # the token said last: some decoders look one back
        self._held: list[int] = []  # tokens behind it that are not yet settled
        self._said = 0  # characters of theirs that went out

    def feed(self, tokens: Sequence[int]) -> str:
        """What has become certain by these tokens; often nothing."""
        spoken = [token for token in tokens if self._speaks(token)]
        if not spoken:
            return ""
        self._held += spoken
        if self._is_byte(self._held[-1]):
            return ""
        text = self._text()
        piece = text.removesuffix(BROKEN)[self._said :]
        self._said += len(piece)
        if not text.endswith(BROKEN):
            self._before, self._held, self._said = self._held[-1:], [], 0
        return piece

    def finish(self) -> str:
        """What was held back: the answer has ended, and so it is broken for good."""
        piece = self._text()[self._said :]
        self._before, self._held, self._said = [], [], 0
        return piece

    def _text(self) -> str:
        """The held tokens', decoded behind the one before them."""
        before = self._decoded(self._before)
        return self._decoded(self._before + self._held)[len(before) :]

    def _decoded(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _speaks(self, token: int) -> bool:
        return token not in self._silent and self._tokenizer.id_to_token(token) is not None

    def _is_byte(self, token: int) -> bool:
        return BYTE_TOKEN.fullmatch(str(self._tokenizer.id_to_token(token))) is not None


class AnswerText:
    """One answer as people read it, in pieces: a TextStream's without the white space around it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._stream = TextStream(tokenizer)
        self._begun = False
        self._space = ""  # only written when something follows

    def feed(self, tokens: Sequence[int]) -> str:
        return self._trimmed(self._stream.feed(tokens))

    def finish(self) -> str:
        return self._trimmed(self._stream.finish())

    def _trimmed(self, piece: str) -> str:
        piece = self._space + piece
        if not self._begun:
            piece = piece.lstrip()
            self._begun = bool(piece)
        kept = piece.rstrip()
        self._space = piece[len(kept) :]
        return kept
