"""One vector a clip from each side: what the event networks and the vision tower make of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from xsd_edge.analysis.distances import Cloud
from xsd_edge.bundle import Bundle
from xsd_edge.events.packet import Geometry
from xsd_edge.events.representation import count_bins
from xsd_edge.runtime.engine import allocate, open_engine
from xsd_edge.video.preprocess import pixels
from xsd_edge.world import scenes


class Features(NamedTuple):
    """Mean token per clip; row i of all three is one clip."""

    raw: Cloud  # [n, event width] what the event encoder gives
    aligned: Cloud  # [n, D] behind the alignment MLP
    video: Cloud  # [n, D] behind tower and projector


def collect(bundle: Bundle, drawn: Iterable[scenes.Scene]) -> Features:
    """Run the bundle's own networks over scenes.

    Raises:
        BundleError: the bundle is missing a part or damaged.
    """
    manifest, clip = bundle.manifest, bundle.manifest.clip
    names = ("event_encoder", "alignment", "vision")
    encoder, alignment, vision = (open_engine(bundle, name) for name in names)
    features, aligned = (allocate(manifest.parts[name].outputs) for name in names[:2])
    visual = allocate(manifest.parts["vision"].outputs, n=1)
    square = Geometry(scenes.SIDE, scenes.SIDE)
    rows: list[tuple[Cloud, Cloud, Cloud]] = []
    for scene in drawn:
        window = (0, scenes.CLIP_US)
        counts = count_bins(scene.events(), square, *window, clip.event_bins, clip.event_side)
        encoder.run({"events": counts[None]}, features)
        alignment.run(features, aligned)
        seen = []
        for frame in scene.frames():
            vision.run({"pixels": pixels(frame, clip)}, visual)
            seen.append(visual["visual"][0].mean(0, dtype=np.float64))
        raw, after = (
            table[name][0].mean(0, dtype=np.float64)
            for table, name in ((features, "features"), (aligned, "aligned"))
        )
        rows.append((raw, after, np.mean(seen, 0)))
    raw, after, video = (np.stack(column) for column in zip(*rows, strict=True))
    return Features(raw, after, video)


def comparable(x: Cloud, y: Cloud) -> tuple[Cloud, Cloud]:
    """Both clouds in one space and one unit: distances need that, dependence does not.

    Each cloud is divided by its root mean square norm; the narrower one is padded with zeros, which
    keeps all distances within it. Which axes it then shares with the other is arbitrary: that
    arbitrariness is what an alignment takes away.
    """
    width = max(x.shape[1], y.shape[1])
    both = []
    for cloud in (x, y):
        scale = np.sqrt((cloud * cloud).sum(1).mean()) or 1.0
        both.append(np.pad(cloud / scale, ((0, 0), (0, width - cloud.shape[1]))))
    return both[0], both[1]
