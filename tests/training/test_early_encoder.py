"""What an early drafter's event tokens are taught to say, and that they learn it."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.conftest import tiny_recipe
from xsd_edge.models.drafter import EventEncoder
from xsd_edge.training.early_encoder import (
    ATTRIBUTES,
    NOTHING,
    EventProbe,
    event_batches,
    told_by_events,
    train_encoder,
)
from xsd_edge.training.loop import Phase
from xsd_edge.world.streams import FORESEEN, stream
from xsd_edge.world.things import SIDE

pytestmark = pytest.mark.host
CELLS = 8


def test_each_change_is_told_where_it_is_and_nothing_else_is() -> None:
    shown = 0
    for clip in (clip for seed in range(20) for clip in stream(seed, 5)):
        told = told_by_events(clip, CELLS).reshape(CELLS, CELLS, -1)
        changes = clip.changes(FORESEEN)
        shown += len(changes)
        expected = np.full_like(told, NOTHING)
        for change in changes:
            x, y = change.at
            expected[int(y * CELLS // SIDE), int(x * CELLS // SIDE)] = [
                names.index(said)
                for names, said in zip(
                    ATTRIBUTES,
                    (change.thing.shape, change.thing.size, *change.motion, change.fate),
                    strict=True,
                )
            ]
        np.testing.assert_array_equal(told, expected)
    assert shown > 50


def test_batches_show_every_source_by_its_clips() -> None:
    """Counts and what they tell stay together."""

    def source(first: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.arange(first, first + clips)
        counts = np.broadcast_to(numbers[:, None, None, None], (clips, 2, 4, 4))
        return counts.astype(np.float16), np.broadcast_to(
            numbers[:, None, None], (clips, 4, len(ATTRIBUTES))
        ).astype(np.int8)

    seen = np.zeros(40)
    for batch in islice(event_batches([source(0, 10), source(10, 30)], 16), 50):
        np.testing.assert_array_equal(batch.counts[:, 0, 0, 0], batch.told[:, 0, 0])
        seen += np.bincount(batch.told[:, 0, 0].numpy(), minlength=40)
    assert seen.min() > 5


@pytest.mark.slow
def test_an_encoder_learns_to_see(tmp_path: Path) -> None:
    """On a few clips, which it may learn by heart."""
    torch.manual_seed(0)
    recipe = tiny_recipe(tmp_path)
    assert recipe.early_training is not None
    spec = replace(recipe.early_training, encoder_steps=40)
    drafter, cells = recipe.drafter, recipe.drafter.event_cells
    clips = list(stream(3, 6))
    told = np.stack([told_by_events(clip, cells) for clip in clips])
    rng = np.random.default_rng(0)
    shape = (len(clips), 2 * drafter.event_bins, drafter.event_side, drafter.event_side)
    counts = rng.integers(0, 9, shape).astype(np.float16)
    losses: list[float] = []
    encoder, probe = EventEncoder(drafter), EventProbe(drafter.event_hidden)
    phase = Phase(
        "seeing", tmp_path, {"0": encoder}, False, lambda n, s, t, v: losses.append(v["loss"])
    )
    train_encoder(encoder, probe, event_batches([(counts, told)], 6), spec, phase)
    assert losses[-1] < 0.5 * losses[0]
