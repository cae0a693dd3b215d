"""Frames become pixels as CLIP's own preprocessing makes them."""

from __future__ import annotations

import numpy as np
import pytest

from xsd_edge.bundle import ClipInfo
from xsd_edge.video.preprocess import pixels, resize


def clip(side: int) -> ClipInfo:
    return ClipInfo(
        frames=8,
        image_side=side,
        tokens_per_frame=17,
        duration_us=1_000_000,
        image_mean=(0.5, 0.4, 0.3),
        image_std=(0.5, 0.25, 0.2),
        resize="bicubic",
        event_side=64,
        event_bins=5,
    )


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    smooth = rng.random((9, 11, 3)).repeat(-(-height // 9), 0).repeat(-(-width // 11), 1)
    noise = rng.normal(0, 20, (height, width, 3))
    return np.clip(smooth[:height, :width] * 255 + noise, 0, 255).astype(np.uint8)


def test_right_size_is_only_normalised() -> None:
    image = picture(32, 32)
    made = pixels(image, clip(32))
    assert made.shape == (1, 3, 32, 32)
    assert made.dtype == np.float32
    wanted = (image / 255 - (0.5, 0.4, 0.3)) / (0.5, 0.25, 0.2)
    np.testing.assert_allclose(made[0], wanted.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (48, 200), (20, 31)])
def test_shortest_edge_fits_and_the_centre_is_kept(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = 255  # left half white: the crop's left half stays white
    made = pixels(image, clip(64))
    assert made.shape == (1, 3, 64, 64)
    white = (1 - 0.5) / 0.5
    np.testing.assert_allclose(made[0, 0, :, :24], white, atol=0.1)
    np.testing.assert_allclose(made[0, 0, :, 40:], -1, atol=0.1)


@pytest.mark.parametrize("size", [(64, 85), (224, 298), (336, 448), (600, 700)])
def test_resize_is_pillows(size: tuple[int, int]) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    image = picture(480, 640)
    height, width = size
    theirs = np.asarray(pillow.fromarray(image).resize((width, height), pillow.Resampling.BICUBIC))
    assert np.array_equal(resize(image, height, width), theirs)
