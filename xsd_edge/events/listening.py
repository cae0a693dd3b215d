"""Listening: the beginning of a source, heard before anybody is given it."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Final, NamedTuple

from xsd_edge.events.packet import EventPacket
from xsd_edge.events.source import EventSource, Extent

MOST_EVENTS: Final = 8_000_000  # heard and kept, at most


class Heard(NamedTuple):
    """Events without a jump in time, and what they tell of the source's clock."""

    events: EventPacket
    began_us: int  # time of the source's first event
    behind_us: int  # time.perf_counter's microseconds less the events', for the promptest packet


class Listened:
    """A source that was listened to. A recording then still begins at its beginning; of a camera,
    what was heard is over.
    """

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._packets = source.packets()
        self._kept: list[EventPacket] = []
        self.live = source.live
        self.encoding = source.encoding
        self.geometry = source.geometry
        self.counters = source.counters
        self.frames = source.frames

    def listen(self, lasting_us: int) -> Heard:
        """The first events: `lasting_us` of a recording's time, of a camera's and of ours.

        Raises:
            SourceError: the source failed.
        """
        heard: list[EventPacket] = []
        began_us: int | None = None
        behind, started = float("inf"), perf_counter()
        for packet in self._packets:
            now = perf_counter()
            if not self.live:
                self._kept.append(packet)
            if len(packet):
                began_us = int(packet.t[0]) if began_us is None else began_us
                behind = min(behind, now * 1e6 - int(packet.t[-1]))
                heard = [*([] if packet.discontinuity else heard), packet]
            lasted = int(heard[-1].t[-1] - heard[0].t[0]) if heard else 0
            over = self.live and (now - started) * 1e6 > lasting_us
            if over or lasted > lasting_us or sum(map(len, heard)) > MOST_EVENTS:
                break
        events = EventPacket.concatenate(heard)
        return Heard(events, began_us or 0, int(behind) if heard else 0)

    def extent(self, enough_us: int) -> Extent | None:
        """The source's."""
        return self._source.extent(enough_us)

    def packets(self) -> Iterator[EventPacket]:
        """The source's: a recording's from its beginning, a camera's from now on."""
        kept, self._kept = self._kept, []
        yield from kept
        yield from self._packets

    def close(self) -> None:
        """Close the source."""
        self._source.close()
