"""Slices of a window as EventGPT sees them: equal counts of events, each slice a picture.

Source: EventGPT (Liu et al., CVPR 2025), `get_event_images_list` and `generate_event_image`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import event_image


def equal_counts(events: EventPacket, slices: int) -> list[EventPacket]:
    """Cut a window into slices of `len(events) // slices` events; the last takes the rest."""
    size = len(events) // slices
    edges = [*(size * i for i in range(slices)), len(events)]
    return [events.slice(edges[i], edges[i + 1]) for i in range(slices)]


def slice_image(events: EventPacket) -> NDArray[np.uint8]:
    """Draw one slice on a canvas that ends with its last column and row, as EventGPT does.

    The canvas depends on the events, and with it the crop that follows: that is how its weights
    were trained. An empty slice is one white pixel.

    Returns RGB uint8 [y.max() + 1, x.max() + 1, 3].
    """
    if len(events) == 0:
        return np.full((1, 1, 3), 255, np.uint8)
    return event_image(events, Geometry(int(events.x.max()) + 1, int(events.y.max()) + 1))
