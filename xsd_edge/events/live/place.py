"""Place: what the name of a camera or recording means, judged by what is there, opening nothing."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.live.failures import missing, system_error
from xsd_edge.events.live.usb_models import UsbNode, attribute, plugged
from xsd_edge.events.packet import Geometry

USB_MAJOR: Final = 189
VIDEO_MAJOR: Final = 81
SPIF_PORT: Final = 3333
DV_PORT: Final = 7777
LOOPBACK: Final = "127.0.0.1"
RECORDED_RUN: Final = "recording.json"
DSEC_EVENTS: Final = Path("events/left/events.h5")


@dataclass(frozen=True, slots=True)
class Place:
    """One source. `name` is what messages call it, `kind` a row of `kinds.KINDS`.

    `address` is a path, a host, or what a USB camera is asked for by; `options` are the ones behind
    the question mark.
    """

    kind: str
    name: str
    address: str = ""
    port: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    usb: UsbNode | None = None

    @property
    def path(self) -> Path:
        return Path(self.address)

    @property
    def geometry(self) -> Geometry | None:
        """`?size=`.

        Raises:
            SourceError: it is no size.
        """
        size = self.options.get("size")
        return None if size is None else Geometry.parse(size)


class System(NamedTuple):
    """Where the kernel says what is plugged in, and what a path is; tests have their own."""

    sysfs: Path = Path("/sys")
    status: Callable[[str], os.stat_result] = os.stat


def resolve(spec: str, system: System | None = None) -> Place:
    """PATH, PATH?key=value&... or a URI. A path that exists wins over every other reading.

    Raises:
        CameraAbsentError: there is nothing (yet).
        SourceError: it is something that gives no events, or the URI makes no sense.
    """
    system = system or System()
    if os.path.lexists(spec):
        return _at_path(spec, {}, system)
    name, mark, query = spec.rpartition("?")
    name, options = (name, _options(query)) if mark else (spec, {})
    if os.path.lexists(name):
        return _at_path(name, options, system)
    if name == "-":
        return _standard_input(options)
    scheme, colon, rest = name.partition(":")
    if name == "auto":
        return _automatic(options, system)
    if colon and scheme in SCHEMES:
        return SCHEMES[scheme](name, rest, options, system)
    if "://" in name:
        known = ", ".join(SCHEMES)
        raise SourceError(f"{name}: no such kind of camera as {scheme!r}; known: {known}, auto, -")
    return _at_path(name, options, system)


def _options(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def _at_path(name: str, options: Mapping[str, str], system: System) -> Place:
    path = Path(name)
    try:
        status = system.status(str(path))
    except FileNotFoundError as error:
        raise missing(path) from error
    except (OSError, ValueError) as error:
        raise system_error(path, error) from error
    for judge, kind in KINDS_OF_FILE:
        if judge(status.st_mode):
            return Place(kind, name, name, options=options)
    if stat.S_ISDIR(status.st_mode):
        return Place(_folder(path), name, name, options=options)
    if stat.S_ISCHR(status.st_mode):
        return _device(Place("device", name, name, options=options), status.st_rdev, system)
    raise SourceError(f"{path} is neither a file, a FIFO, a socket nor a device; give one of those")


def _folder(path: Path) -> str:
    """Tell a folder by what is in it."""
    if (path / RECORDED_RUN).is_file():
        return "clips"
    if (path / DSEC_EVENTS).is_file():
        return "sequence"
    raise SourceError(
        f"{path} is a directory; give a recording in it, the folder of a recorded run, "
        f"or that of a DSEC sequence, which has {DSEC_EVENTS}"
    )


KINDS_OF_FILE: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISREG, "file"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "dv"),
)


def _device(place: Place, number: int, system: System) -> Place:
    """Tell a character device by the kernel's subsystem, or by its major number."""
    major, minor = os.major(number), os.minor(number)
    folder = system.sysfs / "dev" / "char" / f"{major}:{minor}"
    subsystem = (folder / "subsystem").resolve().name
    if major == USB_MAJOR or subsystem == "usb":
        return _usb_device(place, UsbNode.read(folder))
    if major == VIDEO_MAJOR or subsystem == "video4linux":
        kind = "webcam" if place.options.get("as") == "frames" else "v4l2"
        return replace(place, kind=kind)
    if subsystem == "tty":
        raise SourceError(
            f"{place.name} is a serial port, and cameras on serial ports cannot be read; "
            "give a camera, a FIFO or a recording"
        )
    return place


def _usb_device(place: Place, node: UsbNode | None) -> Place:
    if node is None:
        raise CameraAbsentError(
            f"{place.name} is a USB device that the system does not list; plug it in again, "
            "and in a container add: -v /run/udev:/run/udev:ro"
        )
    if node.model is None:
        raise SourceError(
            f"{place.name} is the USB device {node.vendor}:{node.product}, no event camera that we "
            "know; xsd-edge cameras lists those that are plugged in"
        )
    return replace(place, kind="usb", address=node.serial or node.model.name, usb=node)


def _standard_input(options: Mapping[str, str]) -> Place:
    """A file that a shell redirects is a recording; a pipe is a stream."""
    if stat.S_ISREG(os.fstat(0).st_mode):
        return Place("file", "standard input", "/dev/stdin", options=options)
    return Place("stdin", "standard input", "-", options=options)


def _automatic(options: Mapping[str, str], system: System) -> Place:
    """The one event camera that is plugged in."""
    found = [Place("usb", str(n.path), n.serial or "", usb=n) for n in plugged(system.sysfs)]
    found += [
        Place("v4l2", f"/dev/{folder.name}", f"/dev/{folder.name}")
        for folder in event_videos(system.sysfs)
    ]
    if not found:
        raise CameraAbsentError(
            "no event camera is plugged in; plug it in (xsd-edge cameras lists what is there)"
        )
    if len(found) > 1:
        names = " or ".join(place.name for place in found)
        raise SourceError(f"{len(found)} event cameras are plugged in; say --camera {names}")
    return replace(found[0], options=options)


def event_videos(sysfs: Path) -> list[Path]:
    """The video nodes whose driver is an event sensor's."""
    nodes = sorted((sysfs / "class" / "video4linux").glob("video*"))
    return [n for n in nodes if re.search("imx636|genx320", attribute(n, "name") or "")]


Reading = Callable[[str, str, Mapping[str, str], System], Place]


def _network(kind: str, host: str, port: int) -> Reading:
    """KIND://HOST:PORT with defaults; port 0: it must be said."""

    def read(name: str, rest: str, options: Mapping[str, str], system: System) -> Place:
        try:
            parts = urlsplit(f"//{rest.removeprefix('//')}")
            said_host, said_port = parts.hostname or host, parts.port or port
        except ValueError as error:
            raise SourceError(f"{name} is no address; say {kind}://HOST:PORT") from error
        if not said_host or (not said_port and kind != "lucid"):
            raise SourceError(f"{name} lacks its host or port; say {kind}://HOST:PORT")
        return Place(kind, name, said_host, said_port, options)

    return read


def _path_behind(name: str, rest: str, options: Mapping[str, str], system: System) -> Place:
    return _at_path(rest.removeprefix("//"), options, system)


def _usb(name: str, rest: str, options: Mapping[str, str], system: System) -> Place:
    return Place("usb", name, rest.removeprefix("//"), options=options)


def _simulated(name: str, rest: str, options: Mapping[str, str], system: System) -> Place:
    found = _at_path(rest.removeprefix("//"), {"as": "frames"}, system)
    if found.kind not in ("file", "webcam"):
        raise SourceError(f"{name}: only a video file or a webcam can be simulated; give one")
    return Place("sim" if found.kind == "file" else "webcam", name, found.address, options=options)


SCHEMES: Final[dict[str, Reading]] = {
    "usb": _usb,
    "v4l2": _path_behind,
    "file": _path_behind,
    "fifo": _path_behind,
    "tcp": _network("tcp", "", 0),
    "udp": _network("udp", LOOPBACK, SPIF_PORT),
    "dv": _network("dv", LOOPBACK, DV_PORT),
    "lucid": _network("lucid", "", 0),
    "sim": _simulated,
}
