"""Memory in use goes onto huge pages; memory that is only reserved stays away."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import pytest

from tests.conftest import Python
from xsd_edge.runtime.pages import HUGE, use_huge_pages

SIZE = 16 * HUGE
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")

pytestmark = pytest.mark.skipif(
    not SETTING.exists() or "[never]" in SETTING.read_text(), reason="no huge pages here"
)


def told(key: str) -> int:
    """Bytes of this process, of a line of smaps_rollup."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.M)
    assert found is not None
    return int(found[1]) * 1024


def test_memory_in_use_is_collapsed_and_keeps_what_it_holds() -> None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, SIZE, flags) as used, mmap.mmap(-1, SIZE, flags) as reserved:
        used.write(b"weights." * (SIZE // 8))
        reserved[0] = 1
        huge, resident = told("AnonHugePages"), told("Rss")
        collapsed = use_huge_pages()
        if collapsed == 0:
            pytest.skip("this kernel does not collapse at once")
        # All but the rests at both ends, which are no whole huge pages.
        assert told("AnonHugePages") - huge >= SIZE - 2 * HUGE
        assert told("Rss") - resident < SIZE // 2
        used.seek(0)
        assert used.read(SIZE) == b"weights." * (SIZE // 8)


TWICE = """
import mmap
from tests.runtime.test_pages import SIZE, told
from xsd_edge.runtime.pages import use_huge_pages

used = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
used.write(bytes(SIZE))
use_huge_pages()
huge = told("AnonHugePages")
use_huge_pages()
print(abs(told("AnonHugePages") - huge))
"""


def test_a_second_time_costs_nothing_more(python: Python) -> None:
    """In a process of its own: behind others, the kernel itself collapses what they have left."""
    done = python("-c", TWICE)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 2 * HUGE
