"""Failures: what the system and the drivers say when a camera fails, as what a user can do."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from xsd_edge.errors import CameraAbsentError, CameraDeniedError, SourceError

SETUP: Final = "sudo xsd-edge setup-udev"
UNPLUGGED: Final = "plug it in again (xsd-edge cameras lists what is there)"

# What neuromorphic-drivers says: libusb's sentences when it opens a camera, and the names of the
# same errors (Debug of Rust's rusb::Error) when a running one fails. The first row that is part of
# the text counts; "Io" is what an unplugged camera's last transfer often ends with.
DRIVER_SAYS: Final[tuple[tuple[tuple[str, ...], type[SourceError], str], ...]] = (
    (
        ("Access denied", "(Access)", "AccessError"),
        CameraDeniedError,
        f"no permission to open {{name}}; run: {SETUP}, then plug the camera in again "
        "(without a desktop session also: sudo usermod -aG plugdev $USER, and log in again)",
    ),
    (
        ("already used by another program", "Resource busy", "(Busy)"),
        SourceError,
        "{name} is used by another program; end that one "
        "(sudo lsof +D /dev/bus/usb names it), then start this again",
    ),
    (
        ("No such device", "NoDevice", "disconnected"),
        CameraAbsentError,
        f"{{name}} was unplugged; {UNPLUGGED}",
    ),
    (
        ("serial not found", "SerialNotFound"),
        CameraAbsentError,
        "{name} is not plugged in; xsd-edge cameras lists the serial numbers that are",
    ),
    (
        ("no device found", "device not found", "Entity not found", "no Lucid Triton found"),
        CameraAbsentError,
        "no event camera is plugged in; plug it in (xsd-edge cameras lists what is there)",
    ),
    (
        ("Input/Output Error", "(Io)", "Pipe error", "(Pipe)", "Overflow"),
        CameraAbsentError,
        "{name} stopped answering; plug it into a USB 3 port directly, without a hub",
    ),
    (
        ("timed out", "(Timeout)"),
        CameraAbsentError,
        "{name} does not answer in time; unplug it, wait five seconds and plug it in again",
    ),
    (
        ("Insufficient memory", "(NoMem)", "allocation failed", "not enough memory"),
        SourceError,
        "the kernel has no USB memory left for {name}; run: "
        "echo 128 | sudo tee /sys/module/usbcore/parameters/usbfs_memory_mb",
    ),
    (
        ("control transfer error", "Mismatch"),
        CameraAbsentError,
        "{name} does not talk like the model it claims to be; plug it in again, "
        "and if that does not help update its firmware",
    ),
    (
        ("not supported or unimplemented", "(NotSupported)"),
        SourceError,
        "this system cannot talk to {name} over USB; run on the machine itself, "
        "or pass /dev/bus/usb into the container",
    ),
    (
        ("Other error", "(Other)"),
        CameraAbsentError,
        "this machine has no USB bus that can be read, so {name} is out of reach; "
        "in a container add: --device /dev/bus/usb -v /run/udev:/run/udev:ro",
    ),
)


def driver_error(name: str, error: BaseException) -> SourceError:
    """What a user can do about an error of neuromorphic-drivers; unknown ones are shown as said."""
    text = str(error)
    for parts, kind, sentence in DRIVER_SAYS:
        if any(part in text for part in parts):
            return kind(sentence.format(name=name))
    return CameraAbsentError(f"{name} failed: {text}; {UNPLUGGED}")


def system_error(path: Path, error: OSError | ValueError) -> SourceError:
    """What a user can do about a path that cannot be opened."""
    device = path.is_relative_to("/dev")
    number = getattr(error, "errno", None)
    if isinstance(error, PermissionError):
        if not device:
            return CameraDeniedError(
                f"no permission to read {path}; change its mode, or join its group"
            )
        return CameraDeniedError(
            f"no permission to open {path}; run: {SETUP}, then plug the camera in again "
            f"(without a desktop session also: sudo usermod -aG {_group(path)} $USER)"
        )
    if number == errno.EBUSY:
        return SourceError(
            f"{path} is used by another program; end that one (sudo lsof {path} names it)"
        )
    if number in (errno.ENODEV, errno.ENXIO, errno.ENOENT):
        return missing(path)
    return SourceError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")


def missing(path: Path) -> SourceError:
    """There is nothing at this path, or only a link that points at nothing."""
    if path.is_symlink():
        return CameraAbsentError(
            f"{path} points at nothing; is the camera plugged in? "
            f"{os.path.realpath(path)} is gone: {UNPLUGGED}, or wait for it with --wait 60"
        )
    if path.is_relative_to("/dev"):
        return CameraAbsentError(
            f"{path} does not exist: the camera is unplugged, or no udev rule makes that link; "
            f"plug it in, or run: {SETUP}"
        )
    return CameraAbsentError(f"{path} does not exist; check the path, or plug the camera in")


def _group(path: Path) -> str:
    """The group that may open a node; before our rule is in force that is root's, which is none."""
    import grp

    try:
        name = grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        name = "root"
    return "plugdev" if name == "root" else name
