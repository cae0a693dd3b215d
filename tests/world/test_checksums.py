"""The demo pair's weights belong to the world they were trained in: its bytes never change."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import numpy as np

from tests.lesser_processor import on_a_lesser_processor
from xsd_edge.events.packet import EventPacket
from xsd_edge.world.scenes import HELD_OUT, Scene
from xsd_edge.world.spec import RICH
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
    assert checksum(scene.events() for scene in drawn) == "43f8f3e4c6cfe328"


def test_streams() -> None:
    clips = [clip for seed in STREAMS for clip in stream(seed, 6)]
    assert checksum((clip.scene.seed, clip.scene.caption()) for clip in clips) == "4363c1834c8104c4"
    assert checksum(clip.scene.frames() for clip in clips) == "7bd7dfcfa81a7772"
    assert checksum(clip.events() for clip in clips) == "a0e4b2e0715b1c1e"
    assert checksum(foreseen(clip.events()) for clip in clips) == "bffa149c8fdc7ade"


def seen_by_both_cameras() -> str:
    rich = [Scene.from_seed(seed, RICH) for seed in range(6)]
    drawn = [Scene.from_seed(seed) for seed in SEEDS[:6]] + rich
    return checksum(part for scene in drawn for part in (scene.frames(), scene.events()))


def test_the_same_on_a_processor_that_can_do_less() -> None:
    """NumPy and its BLAS pick other code for other processors; what is drawn must not show it."""
    assert on_a_lesser_processor("tests.world.test_checksums", "seen_by_both_cameras") == (
        seen_by_both_cameras()
    )
