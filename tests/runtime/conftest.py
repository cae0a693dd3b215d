"""A camera that never ends, for what is stopped from outside; a bundle without a draft head, and a
draft head without a bundle.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RECORDING, TINY_BUNDLE
from tests.runtime.heads import SmallHead, small_head


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Path]:
    """A FIFO with a recording of two clips in it, whose writer then stays and says nothing."""
    fifo = tmp_path / "dvs0"
    os.mkfifo(fifo)
    feeding = 'exec cat "$1" - >"$2"'
    with subprocess.Popen(["sh", "-c", feeding, "sh", RECORDING, fifo], stdin=subprocess.PIPE) as p:
        yield fifo
        p.kill()


@pytest.fixture
def headless(tmp_path: Path) -> Path:
    """The tiny bundle as if nobody had trained a drafter for its target."""
    folder = tmp_path / "headless"
    shutil.copytree(TINY_BUNDLE, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["parts"] = {name: manifest["parts"][name] for name in ("vision", "target")}
    del manifest["files"]["draft_vocabulary"]
    manifest["drafter"] = dict.fromkeys(manifest["drafter"], 0) | {"gamma_max": 8}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallHead:
    """Needs a build host."""
    return small_head(tmp_path_factory.mktemp("head"))
