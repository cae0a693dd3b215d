"""Clips: hands out the slices of a source's clips in order, from a thread, with a bounded queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from xsd_edge.events.cutter import Cutter, Slice
from xsd_edge.events.packet import EventPacket
from xsd_edge.events.source import EventSource

__all__ = ["ClipReader", "Slice"]

GRACE_US: Final = 100_000  # silence after a slice's end that closes the slice
JOIN_S: Final = 2.0  # a device that ignores O_NONBLOCK may hold its thread


class ClipReader:
    """Iterate over it for slices; reading starts with the first one asked for.

    With drop_late (cameras, paced recordings) slices come as soon as they are complete, and the
    source never waits: of the clips that complete while the consumer is busy with one, only the
    newest is kept; the others are dropped whole and counted. Slices of more than a million events
    are thinned. Without drop_late nothing is dropped: clips come whole, and the source waits.

    A clip that time jumps in is given up: the next slice then has index 0 although the one before
    was not `last`. A recording shorter than a clip is one clip, of the recording's length. What the
    stream's end leaves of a clip is not handed out. At the end
    events = events_delivered + events_dropped + events_tail.

    `dropped` hears of the slices of complete clips that nobody will get, from the reading thread.
    """

    def __init__(
        self,
        source: EventSource,
        clip_us: int,
        slices: int,
        *,
        drop_late: bool,
        dropped: Callable[[list[Slice]], None] | None = None,
    ) -> None:
        self._source = source
        self._slices = slices
        self.drop_late = drop_late
        self._tell_dropped = dropped
        self._cutter = Cutter(clip_us, slices, thin=drop_late)
        self._arrival = _Arrival()
        self._latest = 0  # time of the last event
        self._jumped = False
        self._thread = threading.Thread(target=self._run, name="clip-reader", daemon=True)
        self._changed = threading.Condition()  # over all that follows
        self._queue: deque[Slice] = deque()
        self._held: list[Slice] = []  # of a clip not yet complete, where clips come whole
        self._consuming: int | None = None  # the clip that the consumer is inside of
        self._closed = self._ended = False
        self._error: BaseException | None = None
        self._events = self._delivered = self._dropped = self._tail = 0
        self._windows_dropped = 0
        self._skipped = 0  # events dropped since the last clip was begun

    def __iter__(self) -> Iterator[Slice]:
        return self

    def __next__(self) -> Slice:
        """The next slice; waits for it.

        Raises:
            SourceError: the source failed; all that was complete has been handed out.
        """
        with self._changed:
            if not self._ended and not self._closed and self._thread.ident is None:
                self._thread.start()
            while not (self._queue or self._ended or self._closed):
                self._changed.wait()
            if self._queue and not self._closed:
                return self._hand_out(self._queue.popleft())
            error, self._error = self._error, None
        if error is not None and not self._closed:
            raise error
        raise StopIteration

    def withdraw(self, slices: list[Slice]) -> bool:
        """Take back a whole clip that was handed out but not begun, if a newer one is complete and
        what is late is to be dropped; it then counts as dropped.
        """
        with self._changed:
            if not self.drop_late or not any(s.last for s in self._queue):
                return False
            self._windows_dropped += 1
            self._delivered -= _events(slices)
            self._drop(slices)
        if self._tell_dropped is not None:
            self._tell_dropped(slices)
        return True

    def totals(self) -> dict[str, int]:
        """Counts since the start: this reader's and its source's."""
        seen = self._source.counters
        with self._changed:
            return {
                "events": self._events,
                "events_delivered": self._delivered,
                "events_dropped": self._dropped + self._cutter.dropped,
                "events_tail": self._tail,
                "windows_dropped": self._windows_dropped + self._cutter.clips_given_up,
                "events_dropped_geometry": seen.dropped_geometry,
                "decode_resyncs": seen.resyncs,
                "t_backward_jumps": seen.backward_jumps,
                "packets_lost": seen.lost,
                "reconnects": seen.reconnects,
                "truncated": int(seen.truncated),
            }

    def close(self) -> None:
        """End iteration, and the source; from any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._source.close()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)

    def _hand_out(self, slice_: Slice) -> Slice:
        self._changed.notify_all()
        self._consuming = None if slice_.last else slice_.clip
        self._delivered += len(slice_.events)
        if slice_.index == 0:
            slice_ = replace(slice_, events_dropped=slice_.events_dropped + self._skipped)
            self._skipped = 0
        return slice_

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:
            self._error = error  # the consumer's to see
        with self._changed:
            rest = self._take_incomplete()
            if self._closed:
                rest += self._take(lambda _: True)
            self._tail = _events(rest) + self._cutter.open_events
            self._ended = True
            self._changed.notify_all()

    def _read(self) -> None:
        shorter = self._fit_clip()
        for packet in self._source.packets():
            if self._closed:
                return
            if len(packet):
                self._feed(packet)
            elif self._source.live:
                self._put(self._cutter.advance(self._arrival.certain_us()))
        self._put(self._cutter.advance(max(self._end_us(), shorter or 0)))

    def _feed(self, packet: EventPacket) -> None:
        if packet.discontinuity:
            self._jumped = True
            self._arrival = _Arrival()
            self._put(self._cutter.advance(self._latest + 1))
        self._arrival.saw(packet)
        self._latest = int(packet.t[-1])
        with self._changed:
            slices = self._cutter.feed(packet)
        self._put(slices)
        with self._changed:
            self._events += len(packet)

    def _fit_clip(self) -> int | None:
        """Stretch the clip over a recording that is shorter; returns that clip's end."""
        whole = self._source.extent(self._cutter.clip_us)
        if whole is None:
            return None
        self._cutter.origin_us = whole.t0_us
        if whole.length_us >= self._cutter.clip_us:
            return None
        self._cutter.clip_us = max(whole.length_us, self._slices)
        return whole.t0_us + self._cutter.clip_us

    def _end_us(self) -> int:
        """Time has certainly come this far."""
        whole = None if self._jumped else self._source.extent(0)
        return max(self._latest + 1, whole.t1_us if whole is not None else 0)

    def _put(self, slices: list[Slice]) -> None:
        for slice_ in slices:
            with self._changed:
                if slice_.index == 0:
                    self._drop(self._take_incomplete())
                if self.drop_late:
                    self._queue.append(slice_)
                    if slice_.last:
                        self._drop_older(slice_.clip)
                else:
                    self._held.append(slice_)
                    if slice_.last:
                        self._release_held()
                self._changed.notify_all()

    def _drop_older(self, clip: int) -> None:
        """A newer clip is complete: drop those that wait, except the rest of the one begun."""
        stale = {s.clip for s in self._queue} - {clip, self._consuming}
        self._windows_dropped += len(stale)
        late = self._take(lambda s: s.clip in stale)
        self._drop(late)
        if late and self._tell_dropped is not None:
            self._tell_dropped(late)

    def _release_held(self) -> None:
        self._changed.wait_for(lambda: self._closed or len(self._queue) <= self._slices)
        self._queue.extend(self._held)
        self._held = []

    def _drop(self, slices: list[Slice]) -> None:
        self._dropped += _events(slices)
        self._skipped += _events(slices) + sum(s.events_dropped for s in slices)

    def _take_incomplete(self) -> list[Slice]:
        """Take away what waits of the newest clip, if its last slice is not among it."""
        held, self._held = self._held, []
        if not self._queue or self._queue[-1].last:
            return held
        clip = self._queue[-1].clip
        return held + self._take(lambda s: s.clip == clip)

    def _take(self, unwanted: Callable[[Slice], bool]) -> list[Slice]:
        taken = [s for s in self._queue if unwanted(s)]
        self._queue = deque(s for s in self._queue if not unwanted(s))
        return taken


def _events(slices: list[Slice]) -> int:
    return sum(len(s.events) for s in slices)


class _Arrival:
    """How late events arrive, as far as it has shown; tells what time no event can be before."""

    def __init__(self) -> None:
        self._offset = float("inf")  # from the source's clock to ours, for the promptest event
        self._lateness = 0.0

    def saw(self, packet: EventPacket) -> None:
        now = time.monotonic() * 1e6
        self._offset = min(self._offset, now - int(packet.t[-1]))
        self._lateness = max(self._lateness, now - int(packet.t[0]) - self._offset)

    def certain_us(self) -> int:
        """Time on the source's clock that surely has passed; 0 before the first event."""
        if self._offset == float("inf"):
            return 0
        return int(time.monotonic() * 1e6 - self._offset - self._lateness - GRACE_US)
