"""The wheel: what a device gets from `pip install xsd-edge`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a freshly built wheel."""
    if find_spec("hatchling") is None:
        pytest.skip('hatchling is missing (pip install "xsd-edge[dev]")')
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_carries_every_recipe_board_and_calibration_set(unpacked: Path) -> None:
    for name in ("export", "profiles", "calibration"):
        shipped = {path.name for path in (unpacked / "xsd_edge" / "_data" / name).glob("*.toml")}
        assert shipped == {path.name for path in (ROOT / name).glob("*.toml")}


def test_carries_no_weights_and_no_lint_rules(unpacked: Path) -> None:
    names = [path.name for path in unpacked.rglob("*")]
    assert not [name for name in names if name.endswith((".safetensors", "ruff.toml"))]
    assert {"py.typed", "LICENSE"} <= set(names)


def test_boards_are_found_where_there_is_no_checkout(unpacked: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xsd_edge", "boards", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shipped = {board["name"] for board in json.loads(done.stdout)}
    assert shipped == {path.stem for path in (ROOT / "profiles").glob("*.toml")}
