"""Live frames: the last few frames that a camera took beside its events, within fixed memory."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError

MEMORY: Final = 64 << 20  # bytes; 2.8 s of VGA colour at 25 a second, half a minute of a DAVIS
FIRST_S: Final = 2.0  # a camera that gives frames gives the first one within this


class _Frame(NamedTuple):
    t_us: int
    image: NDArray[Any]


class LiveFrames:
    """Filled by the thread that reads the camera, asked by the one that looks at the clip."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._frames: deque[_Frame] = deque()
        self._bytes = 0
        self._came = threading.Condition()

    def add(self, t_us: int, image: NDArray[np.uint8]) -> None:
        """A frame of time t_us, grey [H, W] or RGB [H, W, 3]; the oldest ones make room."""
        with self._came:
            if self._frames and t_us < self._frames[-1].t_us:  # the camera's clock began anew
                self._frames.clear()
                self._bytes = 0
            self._frames.append(_Frame(t_us, image))
            self._bytes += image.nbytes
            while self._bytes > MEMORY and len(self._frames) > 1:
                self._bytes -= self._frames.popleft().image.nbytes
            self._came.notify_all()

    def newest(self, t_us: int) -> NDArray[np.uint8]:
        """The newest at t_us; before the first one that is kept, that one.

        Raises:
            SourceError: the camera gave none, for FIRST_S.
        """
        with self._came:
            if not self._came.wait_for(lambda: bool(self._frames), FIRST_S):
                raise SourceError(
                    f"{self._name} gives no frames; show the target the events: --frames rendered"
                )
            found = self._frames[0]
            for frame in self._frames:
                if frame.t_us > t_us:
                    break
                found = frame
        grey = found.image.ndim == 2
        image: NDArray[np.uint8] = (
            np.repeat(found.image[..., None], 3, axis=2) if grey else found.image
        )
        return image
