"""Child: the process in which a library reads a recording; see isolated for what it writes."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.reader import Counts, Reader

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
    reader = READERS[name]()
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY, LARGEST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _do(reader, task, Path(path), int(first), out)
    except ModuleNotFoundError:
        _send(out, "missing", what=reader.WHAT, extra=reader.EXTRA)
    except FormatError as error:
        _send(out, "refusal", why=str(error))
    except Exception as error:  # a library that meets damage can raise anything
        what = " ".join(str(error).split())[:200] or type(error).__name__
        _send(out, "refusal", why=f"{path} cannot be read: {what}; copy or record it again")
    else:
        _send(out, "end")


def _do(reader: Reader, task: str, path: Path, first: int, out: IO[bytes]) -> None:
    if task == "survey":
        found = reader.survey(path)
        times = np.ascontiguousarray(found.frame_times, np.int64)
        size = {"width": found.width, "height": found.height}
        _send(out, "survey", times, truncated=found.truncated, **size)
    elif task == "events":
        for part in reader.events(path):
            if isinstance(part, Counts):
                _send(out, "counts", **part._asdict())
            elif len(part.t):
                _send(out, "events", *part)
    else:
        for image in reader.frames(path, first):
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
