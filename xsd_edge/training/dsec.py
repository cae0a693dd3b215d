"""Paired folders in DSEC's layout: events.h5 with its rectify map, images, timestamps.

Layout: Gehrig et al., "DSEC: A Stereo Event Camera Dataset for Driving Scenarios", RA-L 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import ExtraMissingError, TrainingError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import EventSource, open_source
from xsd_edge.training.paired import Frame, Window, sliding, video_frames

# Where DSEC's archives unpack to; beside them, everything in one folder.
EVENTS = ("events/left/events.h5", "events.h5")
IMAGES = ("images/left/rectified", "images/left", "images")
TIMES = ("images/timestamps.txt", "images/left/timestamps.txt", "timestamps.txt")


class Paths(NamedTuple):
    """What makes a folder DSEC-shaped."""

    events: Path
    images: list[Path]
    times: Path


def from_folder(folder: Path, length_us: int) -> Iterator[Window]:
    """A window for every image that events lead up to.

    Events go through the rectify map beside them, if there is one; images are taken as rectified.
    Both are then cut to their centre square: the two cameras stand side by side, so the squares
    agree as far as their fields of view do.

    Raises:
        TrainingError: it is not DSEC-shaped, times run backwards, or events and images do not
            overlap in time.
        SourceError: the events cannot be read.
    """
    paths = find(folder)
    times = read_times(paths)
    source = open_source(str(paths.events))
    try:
        yield from _windows(source, paths, times, length_us)
    finally:
        source.close()


def _windows(
    source: EventSource, paths: Paths, times: NDArray[np.int64], length_us: int
) -> Iterator[Window]:
    mapped = rectify_map(paths.events.with_name("rectify_map.h5"))
    found = 0
    extent = [0, 0]
    frames = _frames(paths, times)
    packets = _rectified(_forward(source, paths.events, extent), mapped, source.geometry)
    for window in sliding(packets, frames, source.geometry, length_us):
        found += 1
        yield window
    if not found:
        raise TrainingError(
            f"events ({_span(*extent)}) and images ({_span(int(times[0]), int(times[-1]))}) of "
            f"{paths.events} do not overlap in time; are they of one recording?"
        )


def find(folder: Path) -> Paths:
    """The parts of a DSEC-shaped folder.

    Raises:
        TrainingError: one is missing; says which.
    """
    events = next((folder / p for p in EVENTS if (folder / p).is_file()), None)
    times = next((folder / p for p in TIMES if (folder / p).is_file()), None)
    places = [sorted((folder / p).glob("*.png")) for p in IMAGES]
    images = next((found for found in places if found), None)
    for part, names in ((events, EVENTS), (images, (f"{IMAGES[0]}/*.png",)), (times, TIMES)):
        if not part:
            raise TrainingError(
                f"{folder} is not DSEC-shaped: it has no {names[0]}; "
                "unpack events, images and timestamps of one sequence there"
            )
    assert events is not None
    assert images is not None
    assert times is not None
    return Paths(events, images, times)


def read_times(paths: Paths) -> NDArray[np.int64]:
    """When each image was taken, in microseconds. [T]

    Raises:
        TrainingError: not one number an image, or times that do not increase.
    """
    try:
        lines = paths.times.read_text(encoding="utf-8").split()
        times = np.array([int(line) for line in lines], np.int64)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{paths.times} should hold one time in microseconds a line: {error}"
        ) from error
    if len(times) != len(paths.images):
        raise TrainingError(
            f"{paths.times} has {len(times)} times for {len(paths.images)} images; "
            "unpack the sequence again"
        )
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        raise TrainingError(
            f"{paths.times} runs backwards at line {int(back[0]) + 2}; unpack the sequence again"
        )
    return times


def rectify_map(path: Path) -> NDArray[np.float32] | None:
    """Where each sensor pixel lies in the rectified picture, (x, y). [H, W, 2]

    Raises:
        TrainingError: the file holds no such map.
        ExtraMissingError: h5py is not installed.
    """
    if not path.is_file():
        return None
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ExtraMissingError("reading DSEC's rectify map", "h5") from error
    try:
        with h5py.File(path, "r") as file:
            found = np.asarray(file["rectify_map"][:], np.float32)
    except (OSError, KeyError) as error:
        raise TrainingError(f"{path} holds no rectify_map: {error}; unpack it again") from error
    if found.ndim != 3 or found.shape[2] != 2:
        raise TrainingError(f"{path}: its map is {found.shape}, not [H, W, 2]; unpack it again")
    return found


def rectify(packet: EventPacket, mapped: NDArray[np.float32], geometry: Geometry) -> EventPacket:
    """Move events to their rectified pixels; what falls off the sensor is left out."""
    inside = (packet.y < mapped.shape[0]) & (packet.x < mapped.shape[1])
    packet = _where(packet, inside)
    x, y = np.rint(mapped[packet.y, packet.x]).T
    kept = (x >= 0) & (x < geometry.width) & (y >= 0) & (y < geometry.height)
    moved = EventPacket(
        packet.t,
        np.where(kept, x, 0).astype(np.uint16),
        np.where(kept, y, 0).astype(np.uint16),
        packet.p,
    )
    return _where(moved, kept)


def _where(packet: EventPacket, kept: NDArray[np.bool_]) -> EventPacket:
    return EventPacket(packet.t[kept], packet.x[kept], packet.y[kept], packet.p[kept])


def _rectified(
    packets: Iterator[EventPacket], mapped: NDArray[np.float32] | None, geometry: Geometry
) -> Iterator[EventPacket]:
    for packet in packets:
        yield packet if mapped is None else rectify(packet, mapped, geometry)


def _forward(source: EventSource, path: Path, extent: list[int]) -> Iterator[EventPacket]:
    """The source's packets; notes their first and last time, refuses a clock that runs back."""
    begun = False
    for packet in source.packets():
        if source.counters.backward_jumps:
            raise TrainingError(
                f"{path}: its times run backwards at {int(packet.t[0])} us; "
                "cut the recording there, or unpack it again"
            )
        if len(packet):
            extent[:] = [extent[0] if begun else int(packet.t[0]), int(packet.t[-1])]
            begun = True
        yield packet


def _frames(paths: Paths, times: NDArray[np.int64]) -> Iterator[Frame]:
    for path, time in zip(paths.images, times, strict=True):
        for frame in video_frames(path):  # a picture is a video of one frame
            yield Frame(int(time), frame.image)


def _span(first: int, last: int) -> str:
    return f"{first / 1e6:.3f} to {last / 1e6:.3f} s"
