"""USB cameras through a driver that behaves, and one that fails in each of libusb's ways."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise

import numpy as np
import pytest

from tests.events.live.fake_driver import (
    STOP,
    FakeDriver,
    drivers,
    events,
    frame,
    packet,
    status,
)
from xsd_edge.errors import CameraAbsentError, CameraDeniedError, ExtraMissingError, SourceError
from xsd_edge.events.live.failures import DRIVER_SAYS
from xsd_edge.events.live.kinds import KINDS
from xsd_edge.events.live.place import Place
from xsd_edge.events.live.usb import RING_BYTES, UsbCamera, open_usb
from xsd_edge.events.live.usb_models import UsbNode
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import Wanted


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    return FakeDriver(monkeypatch)


def usb(address: str = "", node: UsbNode | None = None) -> UsbCamera:
    return open_usb(Place("usb", "/dev/dvs0", address, usb=node))


def limited(said: str) -> UsbCamera:
    return open_usb(Place("usb", "/dev/dvs0", options={"limit": said}))


def seen(camera: UsbCamera) -> list[EventPacket]:
    """Everything up to the script's end."""
    return [part for part in camera.packets() if len(part)]


def test_the_fake_has_the_real_drivers_signatures(driver: FakeDriver) -> None:
    ours, theirs = inspect.signature(driver._open), inspect.signature(drivers.open)
    assert list(ours.parameters) == list(theirs.parameters)
    assert [p.default for p in ours.parameters.values()] == [
        p.default for p in theirs.parameters.values()
    ]
    public = {"__enter__", "__exit__", "__iter__", "__next__", "name", "properties", "serial",
              "clear_backlog", "update_configuration"}  # fmt: skip
    assert public <= set(dir(drivers.device.Device))


def test_the_ring_is_32_mib(driver: FakeDriver) -> None:
    driver.plug([STOP])
    camera = usb()
    camera.close()
    ring = driver.opened[0]["ring"]
    assert ring.buffer_length * ring.ring_length == RING_BYTES == 32 << 20
    assert ring.ring_length > ring.parallel_submissions
    assert driver.opened[0]["timeout"] <= 0.1  # or Ctrl-C would wait for events


def test_events_become_packets_and_silence_heartbeats(driver: FakeDriver) -> None:
    (device,) = driver.plug([(status(), packet(events(10, 20, 30))), STOP])
    camera = usb()
    assert camera.geometry == Geometry(1280, 720)
    packets = camera.packets()
    first = next(packets)
    assert (first.t.tolist(), first.p.tolist()) == ([10, 20, 30], [1, 1, 1])
    assert [str(c.dtype) for c in (first.t, first.x, first.p)] == ["int64", "uint16", "uint8"]
    assert len(next(packets)) == len(next(packets)) == 0
    camera.close()
    assert list(packets) == []
    assert device.exited == 1


def test_an_overflow_is_a_discontinuity_at_the_event_behind_it(driver: FakeDriver) -> None:
    driver.plug(
        [
            (status(), packet(events(10, 20, 30, 40), overflows=[2])),
            (status(dropped=7), packet(events(50, 60), overflows=[0])),
            (status(dropped=9), packet(events(70), overflows=[1])),  # the gap is behind it
            (status(dropped=9), packet(events(80, 90))),
        ]
    )
    camera = usb()
    found = seen(camera)
    assert [(p.t.tolist(), p.discontinuity) for p in found] == [
        ([10, 20], False), ([30, 40], True), ([50, 60], True), ([70], False), ([80, 90], True),
    ]  # fmt: skip
    assert camera.counters.lost == 9
    assert camera.counters.events == 9


def test_what_waited_too_long_is_dropped_and_marked(driver: FakeDriver) -> None:
    (device,) = driver.plug(
        [
            (status(delay_s=0.05, backlog=40), packet(events(10))),
            (status(delay_s=0.15, backlog=40), packet(events(20))),
            (status(), packet(events(30))),
        ]
    )
    camera = usb()
    found = seen(camera)
    assert device.cleared == [0]
    assert camera.counters.lost == 40
    assert [p.discontinuity for p in found] == [False, False, True]


def test_a_davis_gives_frames_of_the_middle_of_their_exposure(driver: FakeDriver) -> None:
    script = [
        (status(), packet(events(10), frames=[frame(5000, 200, (1000, 3000))])),
        (status(), packet(None, frames=[frame(9000, 1023, None)])),
    ]
    driver.plug(script, name="INIVATION_DAVIS346")
    camera = usb()
    assert camera.geometry == Geometry(346, 260)
    seen(camera)
    assert camera.frames is not None
    levels = [int(camera.frames.newest(t)[0, 0, 0]) for t in (2000, 8999, 9000)]
    assert levels == [200 >> 2, 200 >> 2, 255]
    assert camera.frames.newest(2000).shape == (260, 346, 3)


def test_selection(driver: FakeDriver) -> None:
    node = UsbNode("04b4", "00f5", "1", "4", None)
    for address, usb_node, serial in (
        ("", None, "00051195"),
        ("prophesee_evk4", None, "00051195"),
        ("ABC", None, "ABC"),
        ("prophesee_evk4", node, "00051195"),
        ("S1", node._replace(serial="S1"), "S1"),
    ):
        driver.plug([STOP])
        usb(address, usb_node).close()
        assert driver.opened[-1]["serial"] == serial
    driver.plug([STOP])
    open_usb(Place("lucid", "lucid://10.0.0.5", "10.0.0.5")).close()
    assert (driver.opened[-1]["address"], driver.opened[-1]["serial"]) == ("10.0.0.5", None)
    ring = driver.opened[-1]["ring"]
    assert RING_BYTES - ring.buffer_length < ring.buffer_length * ring.ring_length <= RING_BYTES


@pytest.mark.parametrize("name", ["PROPHESEE_EVK4", "PROPHESEE_EVK3_HD", "CENTURYARKS_VGA"])
def test_a_sensor_limits_its_rate_itself(driver: FakeDriver, name: str) -> None:
    (device,) = driver.plug([STOP], name=name)
    limited("20").close()
    (configuration,) = device.configured
    limiter = configuration.rate_limiter
    assert (limiter.reference_period_us, limiter.maximum_events_per_period) == (200, 4000)
    assert configuration.biases == type(configuration)().biases


def test_a_limit_that_cannot_be(driver: FakeDriver) -> None:
    for said in ("fast", "0", "-1", "nan", "inf", "1e9"):
        with pytest.raises(SourceError, match=r"million events a second, like \?limit=20"):
            limited(said)
    assert driver.opened == []
    (device,) = driver.plug([STOP], name="INIVATION_DAVIS346")
    with pytest.raises(SourceError, match=r"davis346 cannot limit its rate.*leave out \?limit="):
        limited("20")
    assert device.exited == 1
    fx2 = Place(
        "usb", "/dev/dvs0", options={"limit": "5"}, usb=UsbNode("152a", "841b", "1", "4", None)
    )
    with pytest.raises(SourceError, match=r"DAVIS \(FX2\) cannot limit its rate"):
        KINDS["usb"].open(fx2, Wanted())


def test_two_of_a_model_must_be_told_apart(driver: FakeDriver) -> None:
    driver.listed = [driver.entry("PROPHESEE_EVK4", s) for s in ("A", "B")]
    with pytest.raises(SourceError, match=r"2 cameras fit.*--camera usb:A or usb:B"):
        usb("prophesee_evk4")
    with pytest.raises(CameraAbsentError, match="is not plugged in; xsd-edge cameras"):
        usb("inivation_davis346")


def test_a_listed_camera_that_cannot_be_asked_says_why(driver: FakeDriver) -> None:
    said = "Access denied (insufficient permissions)"
    driver.listed = [driver.entry("PROPHESEE_EVK4", None, said)]
    with pytest.raises(CameraDeniedError, match="sudo xsd-edge setup-udev"):
        usb()


def test_a_camera_for_openeb_says_so(driver: FakeDriver) -> None:
    with pytest.raises(
        SourceError, match=r"Prophesee EVK2, which only Prophesee's OpenEB.*--camera -"
    ):
        usb("prophesee_evk2", UsbNode("03fd", "5832", "1", "4", None))


# Display of rusb's errors, as `open` and `list_devices` say them; Debug of them, as a running
# device does; and the driver's own.
WAYS = [
    ("Access denied (insufficient permissions)", CameraDeniedError, "setup-udev.*plugdev"),
    ("PropheseeEvk4(Usb(Rusb(Access)))", CameraDeniedError, "setup-udev"),
    ("the device is already used by another program", SourceError, "used by another.*lsof"),
    ("Resource busy", SourceError, "used by another program; end that one"),
    ("PropheseeEvk4(Usb(Rusb(Busy)))", SourceError, "used by another program"),
    ("No such device (it may have been disconnected)", CameraAbsentError, "was unplugged; plug"),
    ("PropheseeEvk4(Usb(Rusb(NoDevice)))", CameraAbsentError, "was unplugged; plug it in again"),
    ("device with serial not found", CameraAbsentError, "lists the serial numbers"),
    ("no device found", CameraAbsentError, "no event camera is plugged in; plug it in"),
    ("device not found", CameraAbsentError, "no event camera is plugged in"),
    ("Entity not found", CameraAbsentError, "no event camera is plugged in"),
    ("no Lucid Triton found", CameraAbsentError, "no event camera is plugged in"),
    ("Input/Output Error", CameraAbsentError, "stopped answering; plug it into a USB 3 port"),
    ("InivationDavis346(Usb(Rusb(Io)))", CameraAbsentError, "stopped answering"),
    ("Pipe error", CameraAbsentError, "stopped answering"),
    ("PropheseeEvk4(Usb(Rusb(Pipe)))", CameraAbsentError, "stopped answering"),
    ("Overflow", CameraAbsentError, "stopped answering"),
    ("Operation timed out", CameraAbsentError, "does not answer in time; unplug it"),
    ("Insufficient memory", SourceError, "usbfs_memory_mb"),
    ("USB transfer allocation failed (successfully allocated 3 transfers)", SourceError, "usbfs"),
    ("control transfer error (expected [4], read [])", CameraAbsentError, "model it claims to be"),
    ("Operation not supported or unimplemented on this platform", SourceError, "container"),
    ("Other error", CameraAbsentError, "no USB bus.*--device /dev/bus/usb"),
    ("System call interrupted (perhaps due to signal)", CameraAbsentError, "failed: System call"),
    ("Malformed descriptor", CameraAbsentError, "failed: Malformed descriptor; plug it in again"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "message"), WAYS)
@pytest.mark.parametrize("running", [False, True])
def test_each_way_to_fail_has_its_sentence(
    driver: FakeDriver, text: str, kind: type[SourceError], message: str, running: bool
) -> None:
    if running:
        (device,) = driver.plug([(status(), packet(events(10))), RuntimeError(text)])
    else:
        driver.plug([])
        driver.devices = [RuntimeError(text)]
    with pytest.raises(SourceError, match=message) as caught:
        for _ in usb().packets():
            pass
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    if running:
        assert device.exited == 1


def test_no_sentence_is_there_for_nothing() -> None:
    for texts, _, sentence in DRIVER_SAYS:
        assert any(part in text for part in texts for text, _, _ in WAYS), sentence
    sentences = [sentence for _, _, sentence in DRIVER_SAYS]
    assert all(a != b for a, b in pairwise(sorted(sentences)))
    assert all(re.search(r"run|plug|lists|end that", s) for s in sentences)


def test_a_machine_without_a_usb_bus(driver: FakeDriver) -> None:
    driver.listed = RuntimeError("Other error")
    with pytest.raises(CameraAbsentError, match="no USB bus"):
        usb()


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "neuromorphic_drivers", None)
    with pytest.raises(ExtraMissingError, match=r'pip install "xsd-edge\[camera\]"'):
        usb()


def test_triggers_and_inertial_samples_are_counted(driver: FakeDriver) -> None:
    given = packet(events(1, 2, 3))
    given.trigger_events, given.imu_events = np.zeros(2), np.zeros(5)
    driver.plug([(status(), given)])
    camera = usb()
    seen(camera)
    assert (camera.counters.events, camera.counters.triggers, camera.counters.imu) == (3, 2, 5)
