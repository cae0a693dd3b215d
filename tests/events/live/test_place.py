"""What a camera's name means: every row of the table, and a sentence for everything else."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.events.live.fake_system import FakeSystem
from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.live.kinds import KINDS
from xsd_edge.events.live.place import Place, resolve
from xsd_edge.events.packet import Geometry


@pytest.fixture
def fake(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path)


def test_dvs0_is_followed_to_the_usb_device(fake: FakeSystem) -> None:
    node = fake.usb("04b4", "00f5", 1, 4)
    link = fake.dev / "dvs0"
    link.symlink_to(node)
    place = resolve(str(link), fake.system)
    assert (place.kind, place.name, place.address) == ("usb", str(link), "prophesee_evk4")
    assert place.usb is not None
    assert (place.usb.bus, place.usb.device, place.usb.serial) == ("1", "4", None)


def test_a_serial_number_that_the_kernel_knows_names_the_camera(fake: FakeSystem) -> None:
    place = resolve(str(fake.usb("152a", "841a", 2, 7, "00000338")), fake.system)
    assert (place.kind, place.address) == ("usb", "00000338")


def test_dvs0_may_be_a_mipi_sensor(fake: FakeSystem) -> None:
    link = fake.dev / "dvs0"
    link.symlink_to(fake.video(2, "imx636 10-003c"))
    place = resolve(f"{link}?format=evt21&size=1280x720", fake.system)
    assert (place.kind, place.options["format"]) == ("v4l2", "evt21")
    assert place.geometry == Geometry(1280, 720)


def test_a_webcam_is_simulated_only_if_that_was_said(fake: FakeSystem) -> None:
    node = fake.video(0, "HD Webcam")
    assert resolve(str(node), fake.system).kind == "v4l2"  # which refuses it when it is opened
    assert resolve(f"{node}?as=frames", fake.system).kind == "webcam"
    assert resolve(f"sim:{node}", fake.system).kind == "webcam"


def test_other_character_devices_give_bytes(fake: FakeSystem) -> None:
    node = fake.node("psee-dma0", 240, 0, "dma")
    assert resolve(f"{node}?format=evt3&size=640x480", fake.system).kind == "device"


def test_files_fifos_sockets_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.raw").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dsec" / "events" / "left").mkdir(parents=True)
    (tmp_path / "dsec" / "events" / "left" / "events.h5").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recording.json").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "dv"))
        names = ("a.raw", "fifo", "dv", "dsec", "run")
        kinds = [resolve(str(tmp_path / name)).kind for name in names]
    assert kinds == ["file", "fifo", "dv", "sequence", "clips"]
    assert resolve(f"file:{tmp_path}/a.raw").kind == "file"
    assert resolve(f"fifo:{tmp_path}/fifo?size=8x8").geometry == Geometry(8, 8)


@pytest.mark.parametrize(
    ("spec", "kind", "address", "port"),
    [
        ("usb:", "usb", "", 0),
        ("usb:00051195", "usb", "00051195", 0),
        ("usb:prophesee_evk4", "usb", "prophesee_evk4", 0),
        ("tcp://cam.local:7000?format=evt2&size=640x480", "tcp", "cam.local", 7000),
        ("udp://0.0.0.0:4000?size=640x480", "udp", "0.0.0.0", 4000),
        ("udp://?size=640x480", "udp", "127.0.0.1", 3333),
        ("udp://:4000?size=640x480", "udp", "127.0.0.1", 4000),
        ("tcp://[::1]:99", "tcp", "::1", 99),
        ("dv://host", "dv", "host", 7777),
        ("lucid://10.0.0.5", "lucid", "10.0.0.5", 0),
    ],
)
def test_uris(spec: str, kind: str, address: str, port: int) -> None:
    place = resolve(spec)
    assert (place.kind, place.address, place.port) == (kind, address, port)


def test_a_path_that_exists_wins_over_a_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("usb:", "auto", "-", "udp:?size=8x8"):
        Path(name).touch()
        assert resolve(name) == Place("file", name, name)


def test_auto_is_the_only_one(fake: FakeSystem) -> None:
    with pytest.raises(CameraAbsentError, match="no event camera is plugged in"):
        resolve("auto", fake.system)
    fake.video(0, "HD Webcam")
    fake.usb("046d", "0825", 1, 2)
    fake.usb("152a", "8419", 1, 3, "DXA00093")
    assert resolve("auto", fake.system).address == "DXA00093"
    fake.video(3, "genx320 4-003c")
    with pytest.raises(
        SourceError, match=r"2 event cameras .*say --camera /dev/bus/usb/001/003 or"
    ):
        resolve("auto", fake.system)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rtsp://camera", "no such kind of camera as 'rtsp'; known: usb, v4l2"),
        ("tcp://host", "lacks its host or port; say tcp://HOST:PORT"),
        ("tcp://:80", "lacks its host or port"),
        ("tcp://host:port", "is no address; say tcp://HOST:PORT"),
        ("udp://host:99999", "is no address"),
        ("lucid://", "lacks its host"),
        ("/dev/dvs7", "unplugged, or no udev rule .*run: sudo xsd-edge setup-udev"),
        ("usb", "does not exist; check the path"),
        ("sim:none.mp4", "does not exist"),
    ],
)
def test_names_that_mean_nothing(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        resolve(spec)
    assert "\n" not in str(caught.value)


def test_a_dangling_link_says_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "dvs0").symlink_to(tmp_path / "bus" / "usb" / "001" / "004")
    with pytest.raises(CameraAbsentError, match=r"points at nothing.*001/004 is gone.*--wait 60"):
        resolve(str(tmp_path / "dvs0"))


def test_wrong_nodes(fake: FakeSystem) -> None:
    for node, message in (
        (
            fake.usb("046d", "0825", 1, 9),
            "USB device 046d:0825, no event camera .*xsd-edge cameras",
        ),
        (fake.node("ttyACM0", 166, 0, "tty"), "is a serial port"),
        (fake.node("bus/usb/003/001", 189, 256, "usb"), "the system does not list"),
    ):
        with pytest.raises(SourceError, match=message):
            resolve(str(node), fake.system)


def test_a_simulation_needs_pictures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SourceError, match="only a video file or a webcam can be simulated"):
        resolve(f"sim:{tmp_path}/fifo")


def test_every_kind_has_a_row(fake: FakeSystem) -> None:
    kinds = {"file", "clips", "sequence", "sim", "stdin", "fifo", "tcp", "device", "udp", "usb"}
    assert kinds | {"lucid", "v4l2", "webcam", "dv"} == set(KINDS)
