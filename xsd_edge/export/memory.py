"""What an export takes of the build host's memory."""

from __future__ import annotations

import contextlib
import ctypes
import resource


def peaks() -> str:
    """The most that this process ever held, and a bound for the model builder that it has run:
    Linux counts with a process what its parent held when it began.
    """
    own, builder = (
        resource.getrusage(who).ru_maxrss / (1 << 20)  # Linux counts kilobytes
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return f"peak memory {own:.2f} GB (model builder at most {builder:.2f} GB)"


def return_freed() -> None:
    """glibc keeps what loading has freed, 400 MB for the demo, which the builder could use."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
