"""Plain decoding, which everything is compared with, and what its passes round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.decoder import EXACT_ROWS, LOGIT_ROWS, Decoder
from xsd_edge.runtime.loop import Limits, Prefilled, generate
from xsd_edge.runtime.sampling import Sampling, mask, runs_of
from xsd_edge.runtime.verifier import Verifier

Rows = NDArray[np.float32]  # logits [n, V]


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """An answer, and the logits [n, V] that chose each of its n tokens."""

    tokens: tuple[int, ...]
    logits: Rows


@dataclass(slots=True)
class Rounding:
    """How far rows differ between the passes of decoding and one clean pass over the same tokens.

    With `--exact` they must not differ at all.
    """

    rows: int = 0
    differing: int = 0
    largest: float = 0.0  # difference of one logit
    distance: float = 0.0  # largest total-variation distance of next-token distributions, T = 1
    moved: float = 0.0  # largest change of a top-2 margin: a choice by less may be rounding's

    def add(self, decoded: Rows, clean: Rows) -> None:
        self.rows += len(decoded)
        for one, other in zip(decoded, clean, strict=True):
            if np.array_equal(one, other):
                continue
            self.differing += 1
            finite = np.isfinite(one)
            same = np.array_equal(finite, np.isfinite(other))
            apart = float(np.abs(one[finite] - other[finite]).max()) if same else float("inf")
            self.largest = max(self.largest, apart)
            distance = np.abs(softmax(one) - softmax(other)).sum() / 2
            self.distance = max(self.distance, float(distance))
            second, best = np.argpartition(one, -2)[-2:]
            moved = abs((one[best] - one[second]) - (other[best] - other[second]))
            self.moved = max(self.moved, float(moved) if same else float("inf"))


def softmax(logits: Rows) -> NDArray[np.float64]:
    """Along the last axis, in fp64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float64)


def speak(
    decoder: Decoder, start: Prefilled, verifier: Verifier, sampling: Sampling, limits: Limits
) -> Spoken:
    """The plain answer."""
    tokens: list[int] = []
    rows: list[Rows] = []
    for round_ in generate(decoder, start, verifier, sampling, limits):
        tokens += round_.tokens
        rows.append(round_.logits.copy())
    return Spoken(tuple(tokens), np.concatenate(rows))


def clean_rows(decoder: Decoder, start: Prefilled, tokens: tuple[int, ...]) -> Rows:
    """Logits [n, V] of an answer's n tokens from passes as long as can be, behind the prompt that
    the cache ends with; the first row is the prompt's own.
    """
    rows = [start.logits[:1].copy()]
    for at in range(0, len(tokens) - 1, LOGIT_ROWS):
        part = decoder.embed(tokens[at : min(at + LOGIT_ROWS, len(tokens) - 1)])
        rows.append(decoder.forward(part, last=len(part), padded_to=EXACT_ROWS).logits.copy())
    logits = np.concatenate(rows)
    mask(logits, runs_of(decoder.info.masked_tokens))
    return logits
