"""Base: what all live sources share: how they are ended, from any thread, at once and only once."""

from __future__ import annotations

import os
import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import Counters, EventPacket
from xsd_edge.events.source import HEARTBEAT_S, Extent, Frames

UNSEEN_S: Final = 8.0  # less than half of EVT3's 16.8 s; a sensor tells the time all the time


class LiveSource(ABC):
    """A camera or stream; `name` is what messages call it.

    A subclass reads in `_packets`, looks at `_closed` at least every few heartbeats, and gives back
    what it holds in `_release`, which is called exactly once.
    """

    live = True
    encoding = "live"
    frames: Frames | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.counters = Counters()
        self._closed = threading.Event()
        self._lock = threading.Lock()  # over what is held
        self._reading = self._released = False

    def extent(self, enough_us: int) -> Extent | None:
        """Nobody knows."""
        return None

    def packets(self) -> Iterator[EventPacket]:
        """Events as they come, an empty packet every HEARTBEAT_S without any.

        Raises:
            SourceError: the camera fails, or a stream ends before its first event.
        """
        with self._lock:
            if self._released:
                return
            self._reading = True
        try:
            yield from self._packets()
        except SourceError:
            if not self._closed.is_set():  # else it only ended because it was told to
                raise
        finally:
            with self._lock:
                self._reading = False
                self._release_once()

    def close(self) -> None:
        """Wake `packets` and end it."""
        self._closed.set()
        with self._lock:
            if not self._released:
                self._wake()
            if not self._reading:
                self._release_once()

    @abstractmethod
    def _packets(self) -> Iterator[EventPacket]: ...

    @abstractmethod
    def _release(self) -> None:
        """Give everything back."""

    def _wake(self) -> None:
        """End a wait in `_packets` early; waits of a few heartbeats may run out by themselves."""
        return

    def _release_once(self) -> None:
        if not self._released:
            self._released = True
            self._release()


class Silence:
    """Tells when data come after a silence in which a sensor's clock may have run over unseen.

    Counts heartbeats without data: in time that merely passed, it may be we who were held up.
    """

    def __init__(self) -> None:
        self._beats = 0

    def ended(self, heard: bool) -> bool:
        """Told after every wait of HEARTBEAT_S whether data came: was the silence that long?"""
        beats, self._beats = self._beats, 0 if heard else self._beats + 1
        return heard and beats * HEARTBEAT_S > UNSEEN_S


class Waiter:
    """Waits until a descriptor has data, or until `wake`."""

    def __init__(self, fd: int) -> None:
        self._read, self._write = os.pipe()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._poll.register(self._read, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """True if there is something to read, or to hear that nothing will come."""
        return bool(self._poll.poll(seconds * 1000))

    def wake(self) -> None:
        """End `wait`, now and from now on."""
        os.write(self._write, b"!")

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
