"""What is plugged in, from a sysfs and a driver that tells more."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Python
from tests.events.live.fake_system import FakeSystem
from xsd_edge.events.live.cameras import Camera, list_cameras


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", None)
    return FakeSystem(tmp_path)


def listed(fake: FakeSystem) -> list[Camera]:
    return list_cameras(fake.sysfs, fake.dev)


def test_nothing_is_plugged_in(fake: FakeSystem) -> None:
    assert listed(fake) == []


def test_event_cameras_and_webcams_are_told_apart(fake: FakeSystem) -> None:
    fake.usb("046d", "0825", 1, 2)  # no event camera
    fake.usb("152a", "841a", 1, 3, "00000338")
    fake.video(0, "HD Webcam")
    fake.video(1, "imx636 10-003c")
    found = listed(fake)
    assert [(c.kind, c.model, c.camera) for c in found] == [
        ("usb", "iniVation DAVIS346", "usb:00000338"),
        ("webcam", "HD Webcam", str(fake.dev / "video0")),
        ("v4l2", "imx636 10-003c", str(fake.dev / "video1")),
    ]
    assert found[0].node == "/dev/bus/usb/001/003"
    assert found[0].problem is not None  # that node is not there in truth
    assert found[2].problem is None


def test_our_links_are_what_a_camera_is_called_by(fake: FakeSystem) -> None:
    node = fake.video(1, "genx320 4-003c")
    (fake.dev / "dvs").mkdir()
    (fake.dev / "dvs" / "video1").symlink_to(node)
    (fake.dev / "dvs0").symlink_to(node)
    assert [c.camera for c in listed(fake)] == [str(fake.dev / "dvs0")]


def test_the_driver_knows_serial_numbers_and_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_driver = pytest.importorskip("tests.events.live.fake_driver")
    driver = fake_driver.FakeDriver(monkeypatch)
    fake = FakeSystem(tmp_path)
    fake.usb("04b4", "00f5", 1, 4)
    driver.listed = [driver.entry("PROPHESEE_EVK4", "00051195")]
    assert listed(fake)[0].serial == "00051195"
    driver.listed = RuntimeError("Other error")  # a machine without a USB bus
    assert listed(fake)[0].serial is None


def test_the_command(command: Python) -> None:
    done = command("cameras", "--json")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)
    if not json.loads(done.stdout):
        done = command("cameras")
        assert (done.returncode, done.stdout) == (0, "")
        assert "No event camera is plugged in" in done.stderr
