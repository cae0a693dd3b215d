"""Memory in use goes onto huge pages; memory that is only reserved stays away."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import pytest

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


def test_a_second_time_costs_nothing_more() -> None:
    use_huge_pages()
    huge = told("AnonHugePages")
    use_huge_pages()
    assert abs(told("AnonHugePages") - huge) <= 2 * HUGE
