"""The device's pixels are those of transformers' image processor."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import CLIPImageProcessor

from xsd_edge.bundle import ClipInfo
from xsd_edge.video.preprocess import pixels

pytestmark = pytest.mark.host


MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def clip(side: int) -> ClipInfo:
    return ClipInfo(8, side, 257, 10**6, MEAN, STD, "bicubic", 336, 5)


@pytest.mark.parametrize("side", [224, 336])
@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 481), (97, 131), (260, 346)])
def test_pixels_are_clips(side: int, height: int, width: int) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed")
    frame = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    processor = CLIPImageProcessor(size={"shortest_edge": side}, crop_size=side)
    assert tuple(processor.image_mean) == MEAN
    wanted = np.asarray(processor(frame, return_tensors="np")["pixel_values"])
    found = pixels(frame, clip(side))
    assert found.shape == wanted.shape == (1, 3, side, side)
    assert np.abs(found - wanted).max() <= 1e-5
