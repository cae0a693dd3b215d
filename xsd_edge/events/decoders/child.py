"""Child: the process in which a library reads a recording; see isolated for what it writes."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.quoting import quoted
from xsd_edge.events.decoders.reader import Alive, Counts, Reader

PULSE_S: Final = 1.0  # much less than isolated.SILENCE_S
LARGEST_MEMORY: Final = 4 << 30  # bytes of address space; a damaged size ends here


def _aedat4() -> Reader:
    from xsd_edge.events.decoders import aedat4

    return aedat4


def _hdf5() -> Reader:
    from xsd_edge.events.decoders import hdf5

    return hdf5


READERS: Final[dict[str, Callable[[], Reader]]] = {"aedat4": _aedat4, "h5": _hdf5}


def main(arguments: list[str]) -> None:
    """READER TASK PATH FIRST."""
    name, task, path, first = arguments
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints may end up among the messages
    reader, alive = READERS[name](), _Pulse(out)
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY, LARGEST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _do(reader, task, Path(path), int(first), out, alive)
    except ModuleNotFoundError:
        _send(out, "missing", what=reader.WHAT, extra=reader.EXTRA)
    except FormatError as error:
        _send(out, "refusal", why=str(error))
    except Exception as error:  # a library that meets damage can raise anything
        what = quoted(error) or type(error).__name__
        _send(out, "refusal", why=f"{path} cannot be read: {what}; copy or record it again")
    else:
        _send(out, "end")


class _Pulse:
    """Says now and then that the reader still reads: hours of a recording take long to survey."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._last = time.monotonic()

    def __call__(self) -> None:
        if (now := time.monotonic()) - self._last > PULSE_S:
            self._last = now
            _send(self._out, "alive")


def _do(reader: Reader, task: str, path: Path, first: int, out: IO[bytes], alive: Alive) -> None:
    if task == "survey":
        found = reader.survey(path, alive)
        times = np.ascontiguousarray(found.frame_times, np.int64)
        size = {"width": found.width, "height": found.height}
        _send(out, "survey", times, truncated=found.truncated, **size)
    elif task == "events":
        for part in reader.events(path, alive):
            if isinstance(part, Counts):
                _send(out, "counts", **part._asdict())
            elif len(part.t):
                _send(out, "events", *part)
    else:
        for image in reader.frames(path, first, alive):
            _send(out, "frame", image)


def _send(out: IO[bytes], kind: str, *arrays: NDArray[Any], **values: object) -> None:
    plain = [np.ascontiguousarray(array) for array in arrays]
    shapes = [(array.dtype.str, array.shape) for array in plain]
    out.write(json.dumps({"kind": kind, "arrays": shapes, **values}).encode() + b"\n")
    for array in plain:
        out.write(array.data)
    out.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
