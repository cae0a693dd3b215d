"""Cameras: which event and frame cameras are plugged in, and whether this user can open them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from xsd_edge.events.live.failures import SETUP, driver_error
from xsd_edge.events.live.place import event_videos
from xsd_edge.events.live.usb_models import ND, UsbModel, UsbNode, attribute, plugged

LINKS: Final = ("dvs*", "dvs/*")  # what our udev rules make


@dataclass(frozen=True, slots=True)
class Camera:
    """One that is plugged in. `camera` is what --camera (or --video, for frames) takes.

    `problem` says why it cannot be opened and how that is mended; None if nothing is in the way.
    """

    kind: str  # "usb", "lucid", "v4l2" or "webcam"
    model: str
    camera: str
    node: str
    serial: str | None
    driver: str
    problem: str | None


def list_cameras(sysfs: Path = Path("/sys"), dev: Path = Path("/dev")) -> list[Camera]:
    """Event cameras on USB, event sensors on MIPI, and ordinary cameras."""
    links = _links(dev)
    usb = [(node, node.model) for node in plugged(sysfs)]
    found = [_usb(node, model, links) for node, model in usb if model is not None]
    events = event_videos(sysfs)
    for folder in sorted((sysfs / "class" / "video4linux").glob("video*")):
        found.append(_video(folder, links, dev, event=folder in events))
    return _with_serials(found)


def _links(dev: Path) -> dict[str, str]:
    """The shortest of the links that lead to each node."""
    links = [link for pattern in LINKS for link in dev.glob(pattern) if link.is_symlink()]
    links.sort(key=lambda link: len(str(link)), reverse=True)
    return {os.path.realpath(link): str(link) for link in links}


def _usb(node: UsbNode, model: UsbModel, links: dict[str, str]) -> Camera:
    path = str(node.path)
    return Camera(
        kind="usb",
        model=model.title,
        camera=links.get(path) or f"usb:{node.serial or model.name}",
        node=path,
        serial=node.serial,
        driver=model.driver,
        problem=_access(node.path) or _driver(model),
    )


def _video(folder: Path, links: dict[str, str], dev: Path, *, event: bool) -> Camera:
    path = dev / folder.name
    return Camera(
        kind="v4l2" if event else "webcam",
        model=attribute(folder, "name") or "unknown",
        camera=links.get(str(path)) or str(path),
        node=str(path),
        serial=None,
        driver="v4l2",
        problem=_access(path),
    )


def _access(path: Path) -> str | None:
    if not path.exists():
        return f"{path} is not visible here; in a container add: --device {path}"
    if os.access(path, os.R_OK | os.W_OK):
        return None
    return f"no permission to open {path}; run: {SETUP}, then plug the camera in again"


def _driver(model: UsbModel) -> str | None:
    from importlib.util import find_spec

    if model.driver == "openeb":
        return "only Prophesee's OpenEB reads it; pipe its RAW output into --camera -"
    module, extra = {
        "neuromorphic-drivers": ("neuromorphic_drivers", "camera"),
        "dv-processing": ("dv_processing", "dv"),
    }[model.driver]
    missing = find_spec(module) is None
    return f'{model.driver} is missing: pip install "xsd-edge[{extra}]"' if missing else None


def _with_serials(found: list[Camera]) -> list[Camera]:
    """Add what only the driver knows: serial numbers of cameras whose USB descriptor has none, why
    one cannot be opened, and cameras on Ethernet.
    """
    listed = _listed()
    named = {camera.serial for camera in found if camera.serial}
    for one in listed:
        said = None if one.error is None else RuntimeError(one.error)
        if one.connection.name == "ETHERNET":
            name = f"lucid://{one.address}"
            problem = str(driver_error(name, said)) if said else None
            found.append(Camera("lucid", one.name.value, name, name, one.serial, ND, problem))
        elif one.serial is None or one.serial not in named:
            # Nothing tells which of several; they are listed in the order of the bus.
            at = next((n for n, c in enumerate(found) if c.driver == ND and not c.serial), None)
            if at is not None:
                camera = found[at]
                problem = camera.problem or (str(driver_error(camera.node, said)) if said else None)
                found[at] = replace(camera, serial=one.serial, problem=problem)
    return found


def _listed() -> list[Any]:
    try:
        import neuromorphic_drivers

        return list(neuromorphic_drivers.list_devices())
    except (ModuleNotFoundError, RuntimeError):  # not installed; a machine without a USB bus
        return []
