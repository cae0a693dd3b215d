"""Huge pages: decoding reads every weight for every token, which small pages make slower.

Linux gives a program's memory out in pages of 4 KiB; the processor's table of them (TLB) is far too
small for a target's weights. What a network has just allocated is therefore asked onto pages of 2
MiB: MADV_HUGEPAGE lets the kernel do so when it has time, MADV_COLLAPSE (Linux 6.1) does so at
once. Where the system forbids either, nothing changes.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

HUGE: Final = 2 << 20  # bytes of a huge page on x86-64 and on aarch64 with 4 KiB pages
MADV_HUGEPAGE: Final = 14
MADV_COLLAPSE: Final = 25
# Collapsing copies; 1.6 ms a megabyte was measured. What is beyond this the kernel may do later.
MOST_AT_ONCE: Final = 512 << 20
MAPS: Final = Path("/proc/self/maps")


def use_huge_pages() -> int:
    """Ask all large private memory that is in use onto huge pages. Returns the bytes collapsed.

    Memory that is reserved but not touched stays as it is: it would become resident.
    """
    if sys.platform != "linux" or mmap.PAGESIZE != 4096:
        return 0
    system = ctypes.CDLL(None, use_errno=True)
    collapsed = 0
    for start in _resident(system):
        page = ctypes.c_void_p(start), ctypes.c_size_t(HUGE)
        if system.madvise(*page, MADV_HUGEPAGE):
            return collapsed  # this kernel knows no huge pages
        if collapsed < MOST_AT_ONCE and system.madvise(*page, MADV_COLLAPSE) == 0:
            collapsed += HUGE
    return collapsed


def _resident(system: ctypes.CDLL) -> Iterator[int]:
    """Addresses of huge pages' worth of memory all of which is in use."""
    for start, end in _large_mappings():
        pages = (end - start) // mmap.PAGESIZE
        here = np.zeros(pages, np.uint8)
        where = ctypes.c_void_p(start), ctypes.c_size_t(end - start)
        if system.mincore(*where, here.ctypes.data_as(ctypes.c_void_p)):
            continue  # it was freed meanwhile
        whole = (here & 1).reshape(-1, HUGE // mmap.PAGESIZE).all(1)
        yield from (start + HUGE * np.flatnonzero(whole)).tolist()


def _large_mappings() -> Iterator[tuple[int, int]]:
    """Writable private memory without a file behind it, cut to whole huge pages."""
    for line in MAPS.read_text().splitlines():
        place, rights, _, _, inode = line.split()[:5]
        if rights != "rw-p" or inode != "0":
            continue
        first, last = (int(address, 16) for address in place.split("-"))
        start, end = -(-first // HUGE) * HUGE, last // HUGE * HUGE
        if end > start:
            yield start, end
