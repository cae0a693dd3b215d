"""The demo pair's weights belong to the world they were trained in: its bytes never change."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import numpy as np

from xsd_edge.events.packet import EventPacket
from xsd_edge.world.scenes import HELD_OUT, Scene
from xsd_edge.world.streams import foreseen, stream

SEEDS = (*range(12), 900_000_000, *range(10_000_000, 10_000_008), *range(HELD_OUT, HELD_OUT + 12))
STREAMS = (0, 7, HELD_OUT, HELD_OUT + 3)


def checksum(parts: Iterable[object]) -> str:
    found = sha256()
    for part in parts:
        if isinstance(part, EventPacket):
            for array in (part.t, part.x, part.y, part.p):
                found.update(np.ascontiguousarray(array).tobytes())
        elif isinstance(part, np.ndarray):
            found.update(np.ascontiguousarray(part).tobytes())
        else:
            found.update(repr(part).encode())
    return found.hexdigest()[:16]


def test_scenes() -> None:
    drawn = [Scene.from_seed(seed) for seed in SEEDS]
    said = [tuple(asked) for scene in drawn for asked in scene.exchanges()]
    assert checksum(said) == "a7e78fc461e8f5f6"
    assert checksum(scene.frames() for scene in drawn) == "dfc0654b11c245c9"
    assert checksum(scene.events() for scene in drawn) == "e90fb7dee98723a6"


def test_streams() -> None:
    clips = [clip for seed in STREAMS for clip in stream(seed, 6)]
    assert checksum((clip.scene.seed, clip.scene.caption()) for clip in clips) == "4363c1834c8104c4"
    assert checksum(clip.scene.frames() for clip in clips) == "7bd7dfcfa81a7772"
    assert checksum(clip.events() for clip in clips) == "404f51f5fcb80b74"
    assert checksum(foreseen(clip.events()) for clip in clips) == "106e0f5bad16348a"
