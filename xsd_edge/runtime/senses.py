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
    """Vision tower with projector, event encoder, alignment; one thread at a time."""

    def __init__(
        self, bundle: Bundle, options: EngineOptions, small: EngineOptions, opener: Opener
    ) -> None:
        manifest = bundle.manifest
        self.stages = Stages()  # where the time goes; whoever runs these may put its own here
        self._clip, parts = manifest.clip, manifest.parts
        # Spinning on, its idle threads made the target's next pass half as long again.
        self._vision = opener(bundle, "vision", options._replace(spinning=False))
        self._encoder = opener(bundle, "event_encoder", small)
        self._alignment = opener(bundle, "alignment", small)
        self._memory = opener(bundle, "event_memory", small)
        self._visual = arrays_for(self._vision, parts["vision"].outputs, n=1)
        self._features = arrays_for(self._encoder, parts["event_encoder"].outputs)
        self._aligned = arrays_for(self._alignment, parts["alignment"].outputs)
        self._remembered = parts["event_memory"].outputs

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
        clip = self._clip
        with self.stages.time("representation"):
            bins, side = clip.event_bins, clip.event_side
            counts = count_bins(events, geometry, t0_us, t1_us, bins, side)[None]
        with self.stages.time("event_encoder"):
            self._encoder.run({"events": counts}, self._features)
        with self.stages.time("alignment"):
            self._alignment.run(self._features, self._aligned)
            memory = allocate(self._remembered)
            self._memory.run(self._aligned, memory)
        aligned = self._aligned["aligned"].copy()
        return EventMemory(counts, aligned, memory["keys"], memory["values"])
