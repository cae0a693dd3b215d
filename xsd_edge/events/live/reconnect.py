"""Reconnect: waits for a camera that is not there yet, and for one that went away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.live.kinds import KINDS
from xsd_edge.events.live.place import resolve
from xsd_edge.events.packet import Counters, EventPacket
from xsd_edge.events.source import EventSource, Extent, Frames, open_source

POLL_S: Final = 0.25  # how often a camera that is waited for is looked for
FIRST_BACK_OFF_S: Final = 0.25
LONGEST_BACK_OFF_S: Final = 5.0
STEADY_S: Final = 10.0  # a camera that ran this long may come back at once

Say = Callable[[str], None]


def connect(
    spec: str, say: Say, *, reconnect: bool | None = None, wait_s: float = 0.0
) -> EventSource:
    """Open a source, waiting up to wait_s for it to be there, and open it again when it goes away.

    `reconnect` None: as the kind of source has it; cameras come back, FIFOs and TCP streams end
    with their writer. `say` hears of losses and returns.

    Raises:
        CameraAbsentError: it did not come in time.
        SourceError: it cannot be opened, or cannot come back although that was asked for.
    """
    source = _await(spec, say, wait_s)
    if not source.live:
        return source
    returns = KINDS[resolve(spec).kind].returns
    if reconnect and returns is None:
        source.close()
        raise SourceError(f"{spec} cannot be opened again when it ends; leave out --reconnect")
    if returns if reconnect is None else reconnect:
        return Reconnecting(spec, source, say)
    return source


def _await(spec: str, say: Say, wait_s: float) -> EventSource:
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        try:
            return open_source(spec)
        except CameraAbsentError as error:
            if time.monotonic() >= deadline:
                raise
            if not told:
                say(f"waiting up to {wait_s:g} s: {error}")
                told = True
            time.sleep(min(POLL_S, max(deadline - time.monotonic(), 0.0)))


class Reconnecting:
    """A camera that is opened again, by its name, whenever it fails or ends.

    Every time its name is resolved anew, since a camera that is plugged in again is another node;
    with the new source come new decoder state and a discontinuity. The counters go on.
    """

    live = True

    def __init__(self, spec: str, source: EventSource, say: Say) -> None:
        self._spec = spec
        self._source = source
        self._say = say
        self._past = Counters()  # of the connections before
        self._closed = threading.Event()
        self._lock = threading.Lock()  # over which source is the present one
        self.geometry = source.geometry

    @property
    def encoding(self) -> str:
        """Of the present connection."""
        return self._source.encoding

    @property
    def counters(self) -> Counters:
        """Of all connections together."""
        with self._lock:
            past, now = self._past, self._source.counters
        total = {f.name: getattr(past, f.name) + getattr(now, f.name) for f in fields(Counters)}
        return Counters(**total | {"truncated": past.truncated or now.truncated})

    @property
    def frames(self) -> Frames | None:
        """Of whichever connection there is."""
        return self if self._source.frames is not None else None

    def newest(self, t_us: int) -> NDArray[np.uint8]:
        """As the camera's own frames have it.

        Raises:
            SourceError: it gives none.
        """
        frames = self._source.frames
        if frames is None:
            raise SourceError(f"{self._spec} gives no frames any more; plug the camera in again")
        return frames.newest(t_us)

    def extent(self, enough_us: int) -> Extent | None:
        """Nobody knows."""
        return None

    def packets(self) -> Iterator[EventPacket]:
        """Events of one connection after another; nothing comes while there is none.

        Raises:
            SourceError: what came back is another camera.
        """
        seen = False  # any event at all
        back_off = FIRST_BACK_OFF_S
        while True:
            began, fresh, reason = time.monotonic(), seen, "it ended"
            try:
                for packet in self._source.packets():
                    if len(packet):
                        seen, fresh, mark = True, False, fresh
                        yield replace(packet, discontinuity=True) if mark else packet
                    elif not fresh:  # a FIFO without a writer is open, but it is no silent camera
                        yield packet
            except SourceError as error:
                reason = str(error)
            if time.monotonic() - began > STEADY_S:
                back_off = FIRST_BACK_OFF_S
            back_off = self._come_back(reason, back_off)
            if self._closed.is_set():
                return

    def close(self) -> None:
        """End `packets`, whether it reads or waits."""
        self._closed.set()
        with self._lock:
            self._source.close()

    def _come_back(self, reason: str, back_off: float) -> float:
        """Wait and open until that works or `close` is called; how long to wait the next time."""
        if self._closed.is_set():
            return back_off
        self._say(f"{self._spec} is gone: {reason}; it is used again as soon as it is back")
        self._source.close()
        while not self._closed.wait(back_off):
            back_off = min(back_off * 2, LONGEST_BACK_OFF_S)
            try:
                source = open_source(self._spec, geometry=self.geometry)
            except SourceError as error:
                if str(error) != reason:
                    reason = str(error)
                    self._say(reason)
                continue
            self._take(source)
            self._say(f"{self._spec} is back")
            break
        return back_off

    def _take(self, source: EventSource) -> None:
        if source.geometry != self.geometry:
            source.close()
            raise SourceError(
                f"{self._spec} came back with {source.geometry} pixels and had {self.geometry}; "
                "start this again for the other camera"
            )
        past = self.counters
        with self._lock:
            self._past = replace(past, reconnects=past.reconnects + 1)
            self._source = source
        if self._closed.is_set():
            source.close()
