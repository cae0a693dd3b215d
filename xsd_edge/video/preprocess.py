"""From a camera's RGB frame to the vision tower's pixels: resize, centre crop, normalise; numpy
only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import ClipInfo

BICUBIC = -0.5  # the cubic's parameter in Pillow, and so in CLIP's preprocessing
ONE = float(1 << 22)  # Pillow's weight of a whole pixel


def pixels(frame: NDArray[np.uint8], clip: ClipInfo) -> NDArray[np.float32]:
    """Shortest edge to the tower's side, centre crop, normalised. [H, W, 3] -> [1, 3, S, S]"""
    side = clip.image_side
    height, width = frame.shape[:2]
    if (height, width) != (side, side):
        short = min(height, width)
        tall, wide = height * side // short, width * side // short
        frame = resize(frame, tall, wide)
        top, left = (tall - side) // 2, (wide - side) // 2
        frame = frame[top : top + side, left : left + side]
    mean, std = (np.array(v, np.float32) for v in (clip.image_mean, clip.image_std))
    normal = (frame / np.float32(255) - mean) / std
    return np.ascontiguousarray(np.moveaxis(normal, -1, 0)[None], np.float32)


def resize(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bicubic with the support widened when shrinking, as Pillow does. [H, W, 3] -> [height, width,
    3]

    Pillow's weights are whole numbers of 22 bits, and it rounds to bytes after the horizontal and
    again after the vertical pass; so does this, to the last bit: float64 holds every sum exactly.
    """
    # [H, C, W] so that either pass is one matrix product; the columns of a row lie together.
    rows, columns, channels = frame.shape
    planes = np.ascontiguousarray(frame.transpose(0, 2, 1), np.float64)
    across = _rounded(planes.reshape(-1, columns) @ _weights(columns, width).T)
    down = _rounded(_weights(rows, height) @ across.reshape(rows, -1))
    return np.asarray(down.astype(np.uint8).reshape(height, channels, width).transpose(0, 2, 1))


def _rounded(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """To whole numbers 0..255, in place; they stay floats, which the next product wants."""
    sums /= ONE
    sums += 0.5
    return np.clip(np.floor(sums, out=sums), 0, 255, out=sums)


@lru_cache(maxsize=8)
def _weights(size: int, wanted: int) -> NDArray[np.float64]:
    """Row i: how much each input pixel counts for output pixel i, in units of 1 / ONE. [wanted,
    size]
    """
    scale = size / wanted
    reach = 2 * max(scale, 1.0)  # a cubic reaches two pixels, stretched when shrinking
    centres = (np.arange(wanted) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(int), 0)
    last = np.minimum((centres + reach + 0.5).astype(int), size)
    columns = np.arange(size)
    distance = np.abs(columns + 0.5 - centres[:, None]) / max(scale, 1.0)
    inside = (columns >= first[:, None]) & (columns < last[:, None])
    weights = np.where(inside, _cubic(distance), 0.0)
    units = weights / weights.sum(1, keepdims=True) * ONE
    return np.asarray(np.trunc(units + np.copysign(0.5, units)), np.float64)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel (Keys 1981, IEEE TASSP 29(6)), for distances x >= 0."""
    a = BICUBIC
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
