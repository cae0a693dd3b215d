"""A camera that never ends, for what is stopped from outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RECORDING


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Path]:
    """A FIFO with a recording of two clips in it, whose writer then stays and says nothing."""
    fifo = tmp_path / "dvs0"
    os.mkfifo(fifo)
    feeding = 'exec cat "$1" - >"$2"'
    with subprocess.Popen(["sh", "-c", feeding, "sh", RECORDING, fifo], stdin=subprocess.PIPE) as p:
        yield fifo
        p.kill()
