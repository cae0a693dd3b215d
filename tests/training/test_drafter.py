"""Drafter training: what rows may see, what counts as accepted, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.host


def slow_feedback_mask(length: int, depth: int) -> np.ndarray:
    """Row by row: the cache of a round that drafted row i as its (depth + 1)-th."""
    mask = np.full((length, (depth + 1) * length), -1e4, np.float32)
    for i in range(length):
        for j in range(i - depth + 1):  # verified rows
            mask[i, j] = 0
        for k in range(1, depth + 1):  # the round's own drafts, each from its own pass
            j = i - depth + k
            if j >= 0:
                mask[i, k * length + j] = 0
    return mask


@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_feedback_mask_is_the_rounds_cache(depth: int) -> None:
    from xsd_edge.training.drafter import feedback_mask

    np.testing.assert_array_equal(feedback_mask(6, depth).numpy(), slow_feedback_mask(6, depth))


def random_collection(count: int = 40):  # type: ignore[no-untyped-def]
    """Answers that follow from the hidden states: token i+2 is named by the state at i + 1."""
    from xsd_edge.training.distill import TOP, Distilled, Example

    rng = np.random.default_rng(0)
    codes = rng.normal(size=(20, 576))
    examples = []
    for clip in range(count):
        n = int(rng.integers(8, 14))
        tokens = rng.integers(100, 120, n + 1)
        hidden = codes[tokens[1:] - 100] + 0.1 * rng.normal(size=(n, 576))
        tops = np.tile(np.arange(300, 300 + TOP), (n, 1))
        tops[:, 0] = tokens[1:]
        weights = np.zeros((n, TOP))
        weights[:, 0] = 0.97
        examples.append(
            Example(clip, 4, tokens, hidden.astype(np.float16), tops, weights.astype(np.float16))
        )
    counts = rng.poisson(0.05, (count, 10, 64, 64)).astype(np.float16)
    return Distilled(counts, examples)


def demo_drafter(data):  # type: ignore[no-untyped-def]
    import torch

    from xsd_edge.models.drafter import Drafter
    from xsd_edge.recipe import Recipe
    from xsd_edge.training.drafter import Examples, draft_vocabulary

    torch.manual_seed(0)
    recipe = Recipe.load(Path("export/demo.toml"))
    vocabulary = draft_vocabulary(data)
    drafter = Drafter(recipe.drafter, 576, len(vocabulary))
    table = torch.randn(400, 576)
    return recipe, drafter, Examples(data, vocabulary, 400), table, vocabulary


def test_batches_pair_each_row_with_what_the_target_says_next() -> None:
    data = random_collection(3)
    _, _, examples, _, vocabulary = demo_drafter(data)
    batch = examples.batch(np.arange(3))
    for row, e in enumerate(data.examples):
        for i in range(len(e.hidden)):
            assert batch.tokens[row, i] == e.tokens[i + 1]
            if e.question_rows - 1 <= i < len(e.hidden) - 1:
                assert vocabulary[batch.wanted[row, i]] == e.tokens[i + 2]
                assert batch.p[row, i, batch.wanted[row, i]] == pytest.approx(0.97, abs=1e-3)
            else:
                assert batch.wanted[row, i] == -1
        assert (batch.wanted[row, len(e.hidden) :] == -1).all()


def test_accepted_runs_count_until_the_first_wrong_draft() -> None:
    import torch

    from xsd_edge.training.drafter import accepted_runs, unrolled

    data = random_collection(4)
    _, drafter, examples, table, _ = demo_drafter(data)
    batch = examples.batch(np.arange(4))
    with torch.no_grad():
        steps = [s.logits.argmax(-1) for s in unrolled(drafter.eval(), batch, table, 3)]
        runs = accepted_runs(drafter, batch, table, 3)
    rows, length = batch.wanted.shape
    for row in range(rows):
        for i in range(length):
            run = 0
            while run < 3 and i + run < length:
                if steps[run][row, i + run] != batch.wanted[row, i + run]:
                    break
                run += 1
            assert runs[row, i] == run


@pytest.mark.slow
def test_the_head_learns_and_resumes(tmp_path: Path) -> None:
    """Forty steps bring the loss down; a run that was cut in two ends where an uncut one does."""
    from dataclasses import replace

    import torch

    from xsd_edge.training.drafter import train_head
    from xsd_edge.training.loop import Phase

    data = random_collection()
    ends, first_loss = [], 0.0
    for name, cuts in (("whole", (40,)), ("cut", (17, 40))):
        for until in cuts:
            recipe, drafter, examples, table, _ = demo_drafter(data)
            short = replace(recipe.drafter_training, steps=40, batch=4, feedback=2)
            losses: list[float] = []

            def report(
                name: str,
                step: int,
                steps: int,
                values: dict[str, float],
                losses: list[float] = losses,
                until: int = until,
            ) -> None:
                losses.append(values["loss"])
                if step == until < steps:
                    raise KeyboardInterrupt

            phase = Phase("draft", tmp_path / name, {"head": drafter}, True, report, save_every_s=0)
            try:
                train_head(drafter, examples, table, short, phase)
            except KeyboardInterrupt:
                continue
            finally:
                first_loss = first_loss or losses[0]
        ends.append(torch.cat([p.detach().flatten() for p in drafter.head.parameters()]))
        assert losses[-1] < 0.9 * first_loss
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=2e-3)
