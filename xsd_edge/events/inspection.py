"""Inspection: reads a source to its end and tells what was in it."""

from __future__ import annotations

import numpy as np

from xsd_edge.events.checksum import Checksum
from xsd_edge.events.source import EventSource, FrameTrack


def inspect_source(source: EventSource) -> dict[str, object]:
    """Every key of `xsd-edge inspect --json`; docs/formats.md says what each means.

    Raises:
        SourceError: it cannot be read on, or holds no events.
    """
    checksum = Checksum()
    events = on_events = 0
    first: int | None = None
    last: int | None = None
    for packet in source.packets():
        if not len(packet):
            continue
        checksum.add(packet)
        events += len(packet)
        on_events += int(np.count_nonzero(packet.p))
        first = int(packet.t[0]) if first is None else first
        last = int(packet.t[-1])
    seen, frames = source.counters, source.frames
    return {
        "format": source.encoding,
        "width": source.geometry.width,
        "height": source.geometry.height,
        "events": events,
        "t_first_us": first,
        "t_last_us": last,
        "on_events": on_events,
        "frames": len(frames.t_us) if isinstance(frames, FrameTrack) else 0,
        "triggers": seen.triggers,
        "imu": seen.imu,
        "dropped": seen.dropped_geometry,
        "repaired": seen.resyncs + seen.backward_jumps,
        "truncated": seen.truncated,
        "checksum": checksum.hex,
    }
