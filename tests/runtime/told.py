"""The facts of a made-up run, told to a listener: what the pipeline would say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from tests.conftest import TINY_BUNDLE
from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.runtime.answer import Answer, Decoding
from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.loop import Round
from xsd_edge.runtime.watch import Scene, Watcher

GEOMETRY = Geometry(62, 40)
TOKENIZER = Tokenizer.from_file(str(TINY_BUNDLE / "tokenizer.json"))
SLICE_US = 125_000


def scene(costs: Costs | None = None, frames: str = "recording") -> Scene:
    counts = {"events": 800, "events_dropped": 7, "windows_dropped": 1}
    return Scene(TOKENIZER, GEOMETRY, frames, 8 * SLICE_US, 8, costs, lambda: counts)


def slice_of(clip: int, index: int, events: int = 100) -> Slice:
    rng = np.random.default_rng((clip, index))
    t0 = (clip * 8 + index) * SLICE_US
    seen = EventPacket(
        np.sort(rng.integers(t0, t0 + SLICE_US, events)),
        rng.integers(0, GEOMETRY.width, events).astype(np.uint16),
        rng.integers(0, GEOMETRY.height, events).astype(np.uint16),
        rng.integers(0, 2, events).astype(np.uint8),
    )
    return Slice(clip, index, t0, t0 + SLICE_US, seen, index == 7, 0, False, 0.0)


def frame_of(slice_: Slice) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((40, 60, 3), slice_.index * 30, np.uint8)


def round_of(text: str, gamma: int = 0, accepted: int = 0) -> Round:
    """A round that brought this text, a token a byte; the first `accepted` were drafted."""
    none = np.zeros((0, 0), np.float32)
    return Round(tuple(TOKENIZER.encode(text).ids), gamma, accepted, 0.0, 0.0, 0.0, none, none)


def tell(listener: Watcher, clip: int, rounds: Sequence[Round], question: str = "What?") -> Answer:
    """A clip and the answer about it."""
    for index in range(8):
        slice_ = slice_of(clip, index)
        listener.saw(slice_, frame_of(slice_))
    listener.asked(clip, question)
    decoding = Decoding()
    for number, round_ in enumerate(rounds):
        decoding.add(round_, 0.1 * (number + 1))
        listener.spoke(round_)
    text = TOKENIZER.decode(decoding.tokens).strip()
    t0, t1 = clip * 8 * SLICE_US, (clip + 1) * 8 * SLICE_US
    stages = {"vision": 0.02, "verify": 0.05}
    answer = Answer(clip, t0, t1, question, text, decoding, None, None, 800, 0, stages)
    listener.answered(answer)
    return answer
