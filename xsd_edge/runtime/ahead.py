"""The senses run ahead of the answers: frames are encoded and events read while the target is still
talking about the clip before.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from time import perf_counter
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.senses import Senses
from xsd_edge.runtime.stages import Stages
from xsd_edge.video.frames import FrameSource, Image

CORES: Final = 3  # with fewer, what runs ahead takes from the target what it gains


class Slices(Protocol):
    """Clips as their slices, in order: a ClipReader, or what plays some again."""

    drop_late: bool

    def __iter__(self) -> Iterator[Slice]: ...

    def withdraw(self, slices: list[Slice]) -> bool:
        """Give back a whole clip that was handed out but not begun, if a newer one is complete;
        it then counts as dropped.
        """


class Sensed(NamedTuple):
    """A slice with all that is known before the target sees it."""

    slice: Slice
    began: float  # when it was handed out, on perf_counter's clock
    frame: Image  # that closes it
    visual: NDArray[np.float32]  # [T, D]
    memory: EventMemory | None  # of the clip so far, with the last slice but one
    stages: Stages  # what this took


def enough_cores() -> bool:
    """May the senses have a core of their own?"""
    return len(os.sched_getaffinity(0)) >= CORES


def sense(
    slices: Slices,
    frames: FrameSource,
    senses: Senses,
    geometry: Geometry | None,
    count: int,
) -> Iterator[Sensed]:
    """Each slice as soon as it comes; clips have `count` of them. Without a geometry no events are
    read.
    """
    clip: list[Slice] = []
    for slice_ in slices:
        began = perf_counter()
        senses.stages = stages = Stages()
        stages.record()
        if slice_.index == 0:
            clip = []
        clip.append(slice_)
        frame = frames.at(slice_)
        visual, memory = senses.look(frame), None
        # The events are read before the last slice comes: nobody waits for that.
        if geometry is not None and slice_.index == max(count - 2, 0):
            t0, t1 = clip[0].t0_us, slice_.t1_us
            events = EventPacket.concatenate([s.events for s in clip])
            whole = t0 + round((t1 - t0) * count / len(clip))
            memory = senses.read_events(events, geometry, t0, whole)
        yield Sensed(slice_, began, frame, visual, memory, stages)


class Ahead:
    """`sense` in a thread of its own, at most one clip ahead of whoever iterates over this.

    A slice is taken from the reader only when there is room for it, so the reader goes on choosing
    the newest clip; one that grew old while it waited here is given back.
    """

    def __init__(self, sensed: Iterator[Sensed], slices: Slices, depth: int) -> None:
        self._sensed, self._slices, self._depth = sensed, slices, depth
        self._changed = threading.Condition()  # over all that follows
        self._waiting: deque[Sensed] = deque()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="senses", daemon=True)

    def __iter__(self) -> Iterator[Sensed]:
        self._thread.start()
        try:
            while (sensed := self._next()) is not None:
                yield sensed
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def _next(self) -> Sensed | None:
        """Raises what the thread failed with, when all that came before has been handed out."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    if self._error is not None:
                        raise self._error
                    return None
                late = self._late_clip()
                for _ in late:
                    self._waiting.popleft()
                sensed = None if late else self._waiting.popleft()
                self._changed.notify_all()
            if sensed is not None:
                return sensed

    def _late_clip(self) -> list[Slice]:
        """The slices of the whole clip that waits first, if the reader took it back."""
        clip = [sensed.slice for sensed in self._waiting]
        if clip[0].index != 0 or not clip[-1].last or clip[0].clip != clip[-1].clip:
            return []
        return clip if self._slices.withdraw(clip) else []

    def _run(self) -> None:
        try:
            while self._room():
                sensed = next(self._sensed, None)
                if sensed is None:
                    break
                with self._changed:
                    self._waiting.append(sensed)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error  # the consumer's to see
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _room(self) -> bool:
        """Wait for room; False when nobody wants more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < self._depth)
            return not self._closed
