"""Brings the clocks of events and frames together, as --offset says."""

from __future__ import annotations

from typing import Final

from xsd_edge import console
from xsd_edge.errors import SourceError
from xsd_edge.events.listening import Listened
from xsd_edge.events.source import EventSource
from xsd_edge.runtime.options import RunOptions
from xsd_edge.video.frames import ONE_CLOCK, ClockedFrames, RenderedFrames
from xsd_edge.video.offset import estimate_offset

LISTENED_US: Final = 8_000_000


def on_one_clock(source: EventSource, frames: ClockedFrames, options: RunOptions) -> EventSource:
    """Set the frames' offset; `auto` measures it. Returns the source to go on with.

    Raises:
        SourceError: there is nothing to shift, or the offset cannot be told.
    """
    if options.offset is not None:
        frames.offset_us = round(options.offset * 1e3)
        if frames.offset_us and isinstance(frames, RenderedFrames):
            raise SourceError(f"the rendered {ONE_CLOCK}")
        return source
    listened = Listened(source)
    heard = listened.listen(LISTENED_US)
    found = estimate_offset(heard.events, source.geometry, frames.around(heard))
    frames.offset_us = found.us
    console.say(
        f"Events tell of a moment {found.us / 1e3:g} ms after the frames do "
        f"(correlation {found.correlation:.2f} by {found.by})."
    )
    return listened
