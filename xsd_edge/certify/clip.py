"""A clip to ask questions about, whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket, Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """What the cameras saw in [t0_us, t1_us): RGB frames [T, H, W, 3], and events."""

    name: str
    frames: NDArray[np.uint8]
    events: EventPacket
    geometry: Geometry
    t0_us: int
    t1_us: int
