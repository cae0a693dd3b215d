"""EventGPT's slices: equal counts, its own canvas, the last event of a pixel wins."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from xsd_edge.events.packet import EventPacket
from xsd_edge.events.slices import equal_counts, slice_image
from xsd_edge.events.source import open_source

SAMPLE = ROOT / "tests" / "data" / "eventgpt_sample1.npy"
MORE = os.environ.get("XSD_EDGE_RECORDINGS")  # a folder with recordings too large for this one


@pytest.fixture(scope="module")
def sample() -> EventPacket:
    source = open_source(str(SAMPLE))
    return EventPacket.concatenate(list(source.packets()))


def drawn(events: EventPacket) -> np.ndarray:
    """EventGPT's own loop."""
    image = np.full((int(events.y.max()) + 1, int(events.x.max()) + 1, 3), 255, np.uint8)
    for x, y, p in zip(events.x, events.y, events.p, strict=True):
        image[y, x] = (0, 0, 255) if p == 0 else (255, 0, 0)
    return image


def test_slices_have_equal_counts_and_the_last_takes_the_rest(sample: EventPacket) -> None:
    slices = equal_counts(sample, 5)
    size = len(sample) // 5
    assert [len(s) for s in slices] == [size] * 4 + [len(sample) - 4 * size]
    assert np.array_equal(EventPacket.concatenate(slices).t, sample.t)


def test_pictures_are_those_of_the_loop(sample: EventPacket) -> None:
    for events in equal_counts(sample, 5):
        assert np.array_equal(slice_image(events), drawn(events))
    assert slice_image(sample).shape == (480, 640, 3)


@pytest.mark.skipif(MORE is None, reason="XSD_EDGE_RECORDINGS names no folder")
@pytest.mark.parametrize("number", ["000069", "000079", "000099"])
def test_pictures_of_a_street_are_those_of_the_loop(number: str) -> None:
    assert MORE is not None
    source = open_source(str(Path(MORE) / f"dsec_interlaken_00_d_{number}.npy"))
    for events in equal_counts(EventPacket.concatenate(list(source.packets())), 5):
        assert np.array_equal(slice_image(events), drawn(events))


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_events_than_slices(sample: EventPacket, count: int) -> None:
    slices = equal_counts(sample.slice(0, count), 5)
    assert sum(len(events) for events in slices) == count
    assert slice_image(slices[0]).tolist() == [[[255, 255, 255]]]
