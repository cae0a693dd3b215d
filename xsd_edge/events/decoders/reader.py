"""Reader: what a format's module offers that a library reads in a child process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Alive: TypeAlias = Callable[[], None]  # to be called where much is read before anything is said


class Survey(NamedTuple):
    """What a recording is: sensor size, 0 where it does not tell, and when its frames are, [T]."""

    width: int
    height: int
    frame_times: NDArray[np.int64]
    truncated: bool


class Counts(NamedTuple):
    """What there is besides events."""

    triggers: int
    imu: int
    truncated: bool


class Events(NamedTuple):
    """Columns as the library gives them."""

    t: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    p: NDArray[Any]


class Reader(Protocol):
    """A format's module."""

    WHAT: str  # needs EXTRA, for people
    EXTRA: str

    def survey(self, path: Path, alive: Alive) -> Survey: ...

    def events(self, path: Path, alive: Alive) -> Iterator[Events | Counts]: ...

    def frames(self, path: Path, first: int, alive: Alive) -> Iterator[NDArray[np.uint8]]:
        """RGB images [H, W, 3] from the one numbered `first` on."""
