"""The udev rules: shown first, whole or not at all, and for every camera that we know."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT, Python
from xsd_edge.errors import SourceError
from xsd_edge.events.live import udev
from xsd_edge.events.live.usb_models import MODELS


def test_every_known_camera_has_a_rule() -> None:
    pairs = re.findall(r'idVendor}=="(\w+)", ATTR{idProduct}=="([^"]+)"', udev.rules())
    for vendor, product in MODELS:
        assert any(v == vendor and fnmatch.fnmatch(product, p) for v, p in pairs), (vendor, product)


def test_rules_are_whole_lines_with_their_labels() -> None:
    text = udev.rules()
    assert text == (ROOT / "runtime" / udev.NAME).read_text()
    assert set(re.findall(r'GOTO="(\w+)"', text)) == set(re.findall(r'LABEL="(\w+)"', text))
    assert text.count('SYMLINK+="dvs/%k dvs0"') == 2
    assert udev.NAME < "73-seat-late.rules"


def test_dry_run_shows_and_writes_nothing(command: Python, tmp_path: Path) -> None:
    path = tmp_path / "70.rules"
    done = command("setup-udev", "--dry-run", "--output", path)
    assert (done.returncode, done.stdout) == (0, udev.rules())
    assert str(path) in done.stderr
    assert not path.exists()


def test_rules_are_shown_and_written(command: Python, tmp_path: Path) -> None:
    path = tmp_path / "70.rules"
    done = command("setup-udev", "--output", path)
    assert (done.returncode, done.stdout) == (0, udev.rules())
    assert path.read_text() == udev.rules()
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot write .*--output"):
        udev.install(tmp_path / "none" / "70.rules")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_without_root_the_command_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SourceError, match=r"only root may write .*run: sudo .*setup-udev"):
        udev.install(tmp_path / "70.rules")


def test_groups_to_join() -> None:
    assert udev.groups_to_join("root") == []
    assert set(udev.groups_to_join("nobody")) <= {"plugdev", "video"}
