"""The early head at run time drafts what its networks say, whole answers from previous ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from xsd_edge.bundle import TensorSpec  # noqa: E402  # behind the check for torch
from xsd_edge.models.drafter import MASKED  # noqa: E402
from xsd_edge.models.early import Early  # noqa: E402
from xsd_edge.recipe import DrafterSpec, EarlySpec  # noqa: E402
from xsd_edge.runtime.drafter import EventMemory  # noqa: E402
from xsd_edge.runtime.early_head import EarlyEngines, EarlyHead  # noqa: E402
from xsd_edge.runtime.engine import Arrays  # noqa: E402

pytestmark = pytest.mark.host
WIDTH, VOCABULARY, CONTEXT, WORDS, EVENTS = 24, 40, 32, 6, 4
SPEC = EarlySpec("none", 32, 2, 1, 2, 48, WORDS, CONTEXT)
DRAFTER = DrafterSpec("none", 8, 2, 4, 16, 1, 2, 16, 16, 2, 16, 32, 4)
COUNTS = (1, 4, 8, 8)
NOTHING = np.zeros((1, 1, 1, 1), np.float32)


class TorchEngine:
    """A torch module behind the engine contract."""

    def __init__(self, module: Any, outputs: tuple[str, ...]) -> None:
        self._module, self._outputs = module, outputs

    def run(self, feeds: Arrays, results: Arrays) -> None:
        with torch.no_grad():
            found = self._module(*(torch.from_numpy(a.copy()) for a in feeds.values()))
        for name, value in zip(self._outputs, found, strict=True):
            results[name][...] = value.numpy()

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        raise AssertionError("nothing is held here")

    def close(self) -> None:
        pass


@pytest.fixture
def early() -> Early:
    torch.manual_seed(0)
    return Early(SPEC, DRAFTER, WIDTH, VOCABULARY).eval()


def head(early: Early, ends: tuple[int, ...]) -> EarlyHead:
    known = (1, SPEC.layers * SPEC.heads, EVENTS + WORDS, SPEC.width // SPEC.heads)
    engines = EarlyEngines(
        TorchEngine(early.memory, ("keys", "values")),
        TorchEngine(early.head, ("logits", "keys", "values")),
        (
            TensorSpec("events", "float32", COUNTS),
            TensorSpec("previous", "float32", (1, WORDS, WIDTH)),
        ),
        (TensorSpec("keys", "float32", known), TensorSpec("values", "float32", known)),
    )
    table = np.random.default_rng(0).normal(size=(100, WIDTH)).astype(np.float16)
    vocabulary = np.arange(VOCABULARY, dtype=np.int64) * 2
    return EarlyHead(engines, CONTEXT, table, vocabulary, ends)


def memory() -> EventMemory:
    counts = np.random.default_rng(1).random(COUNTS, np.float32)
    return EventMemory(counts, NOTHING, NOTHING, NOTHING)


def greedy(early: Early, question: list[int], previous: list[int], count: int) -> list[int]:
    """The same answer from scratch, every row computed anew for every token."""
    table = torch.from_numpy(
        np.random.default_rng(0).normal(size=(100, WIDTH)).astype(np.float16).astype(np.float32)
    )
    words = torch.zeros(1, WORDS, WIDTH)
    words[0, : len(previous)] = table[torch.tensor(previous, dtype=torch.long)]
    text = list(question)
    with torch.no_grad():
        known = early.memory(torch.from_numpy(memory().counts), words)
        for _ in range(count):
            rows = len(text)
            none = torch.zeros(1, 0, SPEC.layers * SPEC.heads, SPEC.width // SPEC.heads)
            mask = torch.full((rows, rows), MASKED).triu(1)
            embedded = table[torch.tensor(text)][None]
            step = early.head(embedded, torch.arange(rows), none, none, mask, *known)
            text.append(2 * int(step.logits[0, -1].argmax()))
    return text[len(question) :]


@pytest.mark.parametrize("previous", [[], [5, 9, 11], [3] * WORDS])
def test_drafts_are_the_networks_own(early: Early, previous: list[int]) -> None:
    drafted = head(early, ends=()).propose([7, 8, 9], previous, memory()).tokens
    assert len(drafted) > 0
    assert list(drafted) == greedy(early, [7, 8, 9], previous, len(drafted))


def test_the_next_draft_owes_nothing_to_the_last(early: Early) -> None:
    drafts = head(early, ends=())
    first = drafts.propose([7, 8, 9], [5], memory())
    drafts.propose([1, 2, 3, 4, 5], [50, 60, 70, 80], memory())
    again = drafts.propose([7, 8, 9], [5], memory())
    assert again.tokens == first.tokens
    np.testing.assert_array_equal(again.log_odds, first.log_odds)


def test_an_end_token_ends_the_draft(early: Early) -> None:
    whole = head(early, ends=()).propose([7, 8, 9], [5], memory()).tokens
    cut = head(early, ends=(whole[1],)).propose([7, 8, 9], [5], memory()).tokens
    assert cut == whole[: whole.index(whole[1]) + 1]


def test_a_previous_answer_longer_than_is_read_is_cut(early: Early) -> None:
    drafts = head(early, ends=())
    long = drafts.propose([7], list(range(20)), memory())
    assert long.tokens == drafts.propose([7], list(range(WORDS)), memory()).tokens


def test_a_question_longer_than_the_context_drafts_nothing(early: Early) -> None:
    assert head(early, ends=()).propose([1] * (CONTEXT + 1), [], memory()).tokens == ()
