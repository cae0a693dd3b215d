"""The decoder's cache: appending, forgetting, padding, running full."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.fakes import tiny_decoder
from xsd_edge.errors import ContextFullError
from xsd_edge.runtime import decoder as decoding


def test_prefill_in_any_cut_gives_the_same_state() -> None:
    whole, cut = tiny_decoder(seed=3)[0], tiny_decoder(seed=3)[0]
    rows = whole.embed(range(9))
    at_once = whole.prefill(rows)
    for part in (rows[:2], rows[2:7]):
        cut.prefill(part)
    last = cut.prefill(rows[7:])
    np.testing.assert_array_equal(at_once.logits, last.logits)
    np.testing.assert_array_equal(at_once.hidden[7:], last.hidden)


def test_a_prefill_longer_than_a_pass_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PASS_ROWS", 4)
    cut, engine = tiny_decoder(seed=3)
    rows = cut.embed(range(9))
    logits, hidden = cut.prefill(rows)
    assert engine.passes == [4, 4, 1]
    assert len(hidden) == 1
    monkeypatch.undo()
    whole, _ = tiny_decoder(seed=3)
    np.testing.assert_array_equal(whole.prefill(rows).logits, logits)


def test_padding_changes_nothing_but_the_rows_of_the_pass() -> None:
    plain, padded = tiny_decoder(seed=3)[0], tiny_decoder(seed=3)
    rows = plain.embed([1, 2, 3])
    ours = plain.forward(rows, last=2)
    theirs = padded[0].forward(rows, last=2, padded_to=5)
    np.testing.assert_array_equal(ours.logits, theirs.logits)
    np.testing.assert_array_equal(ours.hidden, theirs.hidden)
    assert padded[0].offset == plain.offset == 3
    assert padded[1].passes == [5]


def test_a_full_context_says_what_to_do() -> None:
    decoder, _ = tiny_decoder(context=5)
    decoder.prefill(decoder.embed([1, 2, 3]))
    assert decoder.room == 2
    with pytest.raises(ContextFullError, match="3 more tokens do not fit"):
        decoder.forward(decoder.embed([1, 2, 3]), last=1)
    assert decoder.offset == 3
    decoder.forward(decoder.embed([1, 2]), last=1, padded_to=4)  # padding has room of its own
    assert decoder.room == 0
