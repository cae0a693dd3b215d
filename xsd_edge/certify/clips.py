"""Where clips come from: the bundle's own, the user's cameras and recordings, synthetic ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xsd_edge.bundle import Bundle, ClipInfo
from xsd_edge.certify.clip import Clip
from xsd_edge.certify.scenery import synthetic
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import EventPacket
from xsd_edge.events.source import open_source
from xsd_edge.video.frames import RenderedFrames, TrackFrames

DEMO = "demo"  # the paired clip that the bundle ships
DEMO_FILE = "demo_clip"  # in the manifest; a bundle may do without


def clips_for(bundle: Bundle, cameras: tuple[str, ...], seed: int, count: int) -> list[Clip]:
    """`count` clips: the bundle's own, then each camera's share, then synthetic ones.

    Raises:
        SourceError: a camera or recording cannot be read, or is shorter than its own first clip.
    """
    info = bundle.manifest.clip
    clips: list[Clip] = []
    sources = list(dict.fromkeys(cameras))
    if DEMO_FILE in bundle.manifest.files and DEMO not in sources:
        sources.insert(0, DEMO)
    for number, spec in enumerate(sources):
        share = -(-(count - len(clips)) // (len(sources) - number + 1))  # synthetic ones have one
        path = str(bundle.named(DEMO_FILE)) if spec == DEMO else spec
        clips += recorded(path, spec, info, share)
    return clips[:count] + [synthetic(info, seed, n) for n in range(count - len(clips))]


def recorded(path: str, name: str, info: ClipInfo, most: int) -> Iterator[Clip]:
    """Up to `most` clips of a camera or recording, whole ones only."""
    source = open_source(path)
    reader = ClipReader(source, info.duration_us, info.frames, drop_late=source.live)
    frames = RenderedFrames(source.geometry) if not source.frames else TrackFrames(source.frames)
    seen: list[Slice] = []
    made = 0
    try:
        for slice_ in reader:
            if slice_.index == 0:
                seen.clear()
            seen.append(slice_)
            if not slice_.last:
                continue
            yield Clip(
                f"{name} {slice_.clip}",
                np.stack([frames.at(one) for one in seen]),
                EventPacket.concatenate([one.events for one in seen]),
                source.geometry,
                seen[0].t0_us,
                slice_.t1_us,
            )
            made += 1
            if made == most:
                return
    finally:
        reader.close()
        source.close()
