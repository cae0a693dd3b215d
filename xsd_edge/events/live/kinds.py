"""Kinds: every kind of source, its options, who opens it and whether it can come back; one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from xsd_edge.events.live.place import Place
from xsd_edge.events.source import EventSource, Wanted


class Kind(NamedTuple):
    """`returns`: is it opened again by default when it goes away? None: that cannot be done."""

    options: tuple[str, ...]
    open: Callable[[Place, Wanted], EventSource]
    returns: bool | None


def _file(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.formats import open_recording

    return open_recording(place.path, wanted)


def _fifo(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.stream import open_stream

    return open_stream(place.path, wanted)


def _device(place: Place, wanted: Wanted) -> EventSource:
    """Nobody knows what somebody's own driver sends."""
    from xsd_edge.events.stream import open_stream

    return open_stream(place.path, wanted, default=None)


def _standard_input(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.stream import open_standard_input

    return open_standard_input(wanted)


def _tcp(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.stream import open_tcp

    return open_tcp(place.name, place.address, place.port, wanted)


def _udp(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.live.udp import UdpSource

    return UdpSource(place.name, place.address, place.port, wanted)


def _usb(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.live.usb import no_limit, open_usb

    model = place.usb.model if place.usb is not None else None
    if model is None or model.driver != "dv-processing":
        return open_usb(place)
    if "limit" in place.options:
        raise no_limit(place.name, model.title)
    from xsd_edge.events.live.dv import open_dv_camera

    return open_dv_camera(place)


def _v4l2(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.live.v4l2 import open_v4l2

    return open_v4l2(place.path, wanted)


def _dv(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.live.dv import open_dv_stream

    return open_dv_stream(place)


def _simulated(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.live.simulated import simulate_video

    return simulate_video(place, wanted)


def _webcam(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.live.simulated import simulate_webcam

    return simulate_webcam(place, wanted)


def _sequence(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.live.sequence import open_sequence

    return open_sequence(place, wanted)


def _clips(place: Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.replay import ClipFolder

    return ClipFolder(place.path)


BYTES: Final = ("format", "size")

# A FIFO, a pipe and a TCP stream end because their writer is done; a camera ends because it broke.
KINDS: Final[dict[str, Kind]] = {
    "file": Kind(BYTES, _file, None),
    "clips": Kind((), _clips, None),
    "sequence": Kind((), _sequence, None),
    "sim": Kind(("fps", "size", "pixels"), _simulated, None),
    "stdin": Kind(BYTES, _standard_input, None),
    "fifo": Kind(BYTES, _fifo, False),
    "tcp": Kind(BYTES, _tcp, False),
    "device": Kind(BYTES, _device, True),
    "udp": Kind(BYTES, _udp, True),
    "usb": Kind(("limit",), _usb, True),
    "lucid": Kind((), _usb, True),
    "v4l2": Kind(BYTES, _v4l2, True),
    "webcam": Kind(("as", "fps", "size", "pixels"), _webcam, True),
    "dv": Kind((), _dv, True),
}
