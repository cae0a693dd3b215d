"""Two discs that swing at different rates over a dark ground, as both cameras see them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.simulator import PRESETS, PixelModel, luma_of

GEOMETRY = Geometry(96, 64)
LASTING_US = 4_000_000


def picture(t_us: int) -> NDArray[np.uint8]:
    """RGB [64, 96, 3]"""
    x, y = np.meshgrid(np.arange(GEOMETRY.width), np.arange(GEOMETRY.height))
    light = np.full(x.shape, 40.0)
    for hz, row, level in ((0.4, 20, 200), (0.9, 45, 120)):
        middle = 48 + 30 * np.sin(2 * np.pi * hz * t_us * 1e-6)
        light += level * np.clip(8 - np.hypot(x - middle, y - row), 0, 1)
    return np.repeat(light.astype(np.uint8)[..., None], 3, axis=2)


def swinging_events() -> EventPacket:
    """What pixels that look every 5 ms tell."""
    pixels = PixelModel(GEOMETRY, PRESETS["default"], 0)
    steps = [pixels.step(luma_of(picture(t)), t) for t in range(0, LASTING_US, 5_000)]
    t, x, y, p = (np.concatenate([getattr(s, key) for s in steps]) for key in "txyp")
    return EventPacket(t, x, y, p)
