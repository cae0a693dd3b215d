"""Flat arrays of what was collected: one npz file, without objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import TrainingError
from xsd_edge.training.loop import whole


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write them whole or not at all.

    Raises:
        TrainingError: they cannot be written.
    """
    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub has no ** form


@contextmanager
def loaded_arrays(path: Path) -> Iterator[dict[str, NDArray[Any]]]:
    """What `save_arrays` wrote; within, whatever does not fit tells that the file is damaged.

    Raises:
        TrainingError: it is something else, or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            flat = dict(archive)
        yield flat
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise TrainingError(
            f"{path} is no collection of answers ({error}); delete it, it is made again"
        ) from error
