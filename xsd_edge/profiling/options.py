"""What one `xsd-edge profile` is asked to measure, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xsd_edge.runtime.options import OptionError, RunOptions

CLIPS = 20  # enough for intervals of a few per cent


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """How to answer, as `run` is told; how many clips; what to write.

    Raises:
        OptionError: a number out of range, or a report in a folder that does not exist.
    """

    run: RunOptions
    clips: int = CLIPS
    root: Path = Path("/")  # where the machine's own files are read: a test's stand-in
    trace: Path | None = None
    html: Path | None = None

    def __post_init__(self) -> None:
        if self.clips < 2:
            raise OptionError(f"--max-clips must be 2 or above for an interval, not {self.clips}")
        for name, path in (("--trace", self.trace), ("--html", self.html)):
            if path is not None and not path.parent.is_dir():
                raise OptionError(f"{name} {path}: the folder {path.parent} does not exist")
