"""Sequence: a recording with frames beside it, such as a folder of DSEC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from xsd_edge.events.live.place import DSEC_EVENTS, Place
from xsd_edge.events.packet import EventPacket
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Extent, Frames, Wanted

DSEC_IMAGES: Final = "images/left/rectified"


class WithFrames:
    """A recording whose frames come from elsewhere, on its clock."""

    live = False

    def __init__(self, recording: Recording, frames: Frames | None) -> None:
        self._recording = recording
        self.encoding = recording.encoding
        self.geometry = recording.geometry
        self.counters = recording.counters
        self.frames = frames

    def extent(self, enough_us: int) -> Extent | None:
        """The recording's."""
        return self._recording.extent(enough_us)

    def packets(self) -> Iterator[EventPacket]:
        """The recording's."""
        return self._recording.packets()

    def close(self) -> None:
        """Close the recording."""
        self._recording.close()


def open_sequence(place: Place, wanted: Wanted) -> WithFrames:
    """A DSEC sequence: events/left/events.h5, with images/left/rectified if those are there.

    Raises:
        SourceError: events or images cannot be read.
    """
    from xsd_edge.events.formats import open_recording
    from xsd_edge.video.decode import ImageFolder

    recording = open_recording(place.path / DSEC_EVENTS, wanted)
    images = place.path / DSEC_IMAGES
    return WithFrames(recording, ImageFolder(images) if images.is_dir() else None)
