"""Pictures for the page: events as a small PNG with a palette, frames as JPEG."""

from __future__ import annotations

import struct
import zlib
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.representation import NO_EVENT, latest_polarity

# OFF blue, ON orange: told apart by everybody, on dark and on light. No event is transparent.
PALETTE: Final = bytes((0x3D, 0x8B, 0xEF, 0xEB, 0x68, 0x34, 0, 0, 0))
ALPHA: Final = bytes((255, 255, 0))
WIDEST: Final = 480  # pixels of a frame on the page


def event_png(events: EventPacket, geometry: Geometry) -> bytes:
    """Every pixel's last event. PNG, two bits a pixel (ISO/IEC 15948)."""
    assert NO_EVENT == 2, "the palette's order"
    polarity = latest_polarity(events, geometry)
    padded = np.pad(polarity, ((0, 0), (0, -geometry.width % 4)))
    quads = padded.reshape(geometry.height, -1, 4)
    packed = quads[..., 0] << 6 | quads[..., 1] << 4 | quads[..., 2] << 2 | quads[..., 3]
    rows = np.pad(packed, ((0, 0), (1, 0)))  # filter type 0 in front of each row
    shape = struct.pack(">IIBBBBB", geometry.width, geometry.height, 2, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", shape),
            _chunk(b"PLTE", PALETTE),
            _chunk(b"tRNS", ALPHA),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def frame_jpeg(frame: NDArray[np.uint8]) -> bytes:
    """An RGB frame [H, W, 3], shrunk to WIDEST where it is wider."""
    height, width = frame.shape[:2]
    scale = min(1.0, WIDEST / width)
    # Half as many rows and columns of colour, so both sides must be even.
    wide, tall = (max(2, int(side * scale) // 2 * 2) for side in (width, height))
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = wide, tall, "yuvj420p"
    encoder.options = {"qscale": "5"}
    shrunk = picture.reformat(wide, tall, "yuvj420p")
    return b"".join(bytes(packet) for packet in (*encoder.encode(shrunk), *encoder.encode(None)))
