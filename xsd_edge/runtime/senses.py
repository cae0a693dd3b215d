"""What is made of a clip before the target is asked: its frames' visual tokens, its events' memory.

Nothing here depends on the target's cache, so it can run ahead of the answers (ahead.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import Bundle
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import count_bins
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.engine import EngineOptions, Opener, allocate, arrays_for
from xsd_edge.runtime.stages import Stages
from xsd_edge.video.preprocess import pixels


class Senses:
    """Vision tower with projector, and what reads the events; one thread at a time."""

    def __init__(
        self, bundle: Bundle, options: EngineOptions, small: EngineOptions, opener: Opener
    ) -> None:
        manifest = bundle.manifest
        self.stages = Stages()  # where the time goes; whoever runs these may put its own here
        self._clip, parts = manifest.clip, manifest.parts
        # Spinning on, its idle threads made the target's next pass half as long again.
        self._vision = opener(bundle, "vision", options._replace(spinning=False))
        self._visual = arrays_for(self._vision, parts["vision"].outputs, n=1)
        self._events = EventReader(bundle, small, opener) if manifest.drafter.has_head else None
        self._blind = nothing_seen(manifest.target.hidden)

    def look(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """An RGB frame [H, W, 3] as the target's visual tokens. [T, D]"""
        with self.stages.time("preprocess"):
            image = pixels(frame, self._clip)
        with self.stages.time("vision"):
            self._vision.run({"pixels": image}, self._visual)
        visual: NDArray[np.float32] = self._visual["visual"][0].copy()
        return visual

    def read_events(
        self, events: EventPacket, geometry: Geometry, t0_us: int, t1_us: int
    ) -> EventMemory:
        """What the drafter knows of a clip from its events."""
        if self._events is None:
            return self._blind
        return self._events.read(events, geometry, (t0_us, t1_us), self.stages)


class EventReader:
    """The drafter's three networks that read a clip's events."""

    def __init__(self, bundle: Bundle, options: EngineOptions, opener: Opener) -> None:
        self._clip, parts = bundle.manifest.clip, bundle.manifest.parts
        self._encoder = opener(bundle, "event_encoder", options)
        self._alignment = opener(bundle, "alignment", options)
        self._memory = opener(bundle, "event_memory", options)
        self._features = arrays_for(self._encoder, parts["event_encoder"].outputs)
        self._aligned = arrays_for(self._alignment, parts["alignment"].outputs)
        self._remembered = parts["event_memory"].outputs

    def read(
        self, events: EventPacket, geometry: Geometry, span_us: tuple[int, int], stages: Stages
    ) -> EventMemory:
        bins, side = self._clip.event_bins, self._clip.event_side
        with stages.time("representation"):
            counts = count_bins(events, geometry, *span_us, bins, side)[None]
        with stages.time("event_encoder"):
            self._encoder.run({"events": counts}, self._features)
        with stages.time("alignment"):
            self._alignment.run(self._features, self._aligned)
            memory = allocate(self._remembered)
            self._memory.run(self._aligned, memory)
        aligned = self._aligned["aligned"].copy()
        return EventMemory(counts, aligned, memory["keys"], memory["values"])


def nothing_seen(width: int) -> EventMemory:
    """Of a bundle in which no network reads events: no tokens."""
    none = np.zeros((1, 0, 0, 0), np.float32)
    return EventMemory(none, np.zeros((1, 0, width), np.float32), none, none)
