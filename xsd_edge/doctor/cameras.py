"""Cameras that are plugged in, and whether this user may open them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xsd_edge.doctor.finding import BROKEN, OK, Finding
from xsd_edge.events.live.cameras import Camera, list_cameras
from xsd_edge.machine import Machine

# A camera's problem ends with what mends it, behind one of these.
_COMMAND = re.compile(r"(?:run|missing|add): (.+?)(?:, then .*)?$")


def cameras(machine: Machine) -> Iterator[Finding]:
    """One finding per camera."""
    found = list_cameras(machine.path("/sys"), machine.path("/dev"))
    if not found:
        yield Finding("camera", OK, "none is plugged in; recordings run without one")
    for camera in found:
        yield _finding(camera)


def _finding(camera: Camera) -> Finding:
    what = f"{camera.model} at {camera.node}"
    if camera.problem is None:
        return Finding("camera", OK, f"{what}; --camera {camera.camera}")
    command = _COMMAND.search(camera.problem)
    mend = command[1] if command else "xsd-edge cameras"
    if mend.startswith("-"):  # an option of the container that we are in
        mend = f"docker run {mend}"
    return Finding("camera", BROKEN, f"{what}: {camera.problem}", mend)
