"""Pictures for the page, read back by Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import latest_polarity
from xsd_edge.web.pictures import WIDEST, event_png, frame_jpeg

Image = pytest.importorskip("PIL.Image", reason='pillow is missing (pip install "xsd-edge[dev]")')


def decoded(data: bytes, mode: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert(mode), np.uint8)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 37])
def test_events_pixel_by_pixel(width: int) -> None:
    rng = np.random.default_rng(width)
    geometry, count = Geometry(width, 11), 100
    events = EventPacket(
        np.arange(count),
        rng.integers(0, width, count).astype(np.uint16),
        rng.integers(0, 11, count).astype(np.uint16),
        rng.integers(0, 2, count).astype(np.uint8),
    )
    picture = decoded(event_png(events, geometry), "RGBA")
    polarity = latest_polarity(events, geometry)
    np.testing.assert_array_equal(picture[..., 3] == 0, polarity == 2)
    reddish = picture[..., 0] > picture[..., 2]
    np.testing.assert_array_equal(reddish & (picture[..., 3] > 0), polarity == 1)


def test_frames_keep_their_colours() -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :32] = (200, 30, 30)
    picture = decoded(frame_jpeg(frame), "RGB").astype(int)
    assert picture.shape == frame.shape
    assert np.abs(picture[10, 10] - (200, 30, 30)).max() < 8
    assert picture[10, 50].max() < 8


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (333, 999), (1, 1)])
def test_frames_are_shrunk(height: int, width: int) -> None:
    tall, wide = decoded(frame_jpeg(np.zeros((height, width, 3), np.uint8)), "RGB").shape[:2]
    assert wide <= max(WIDEST, 2)
    assert abs(tall / wide - height / width) < 0.02
