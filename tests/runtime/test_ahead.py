"""The senses run ahead: in order, at most one clip, and never with a clip that grew old."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.conftest import RECORDING, TINY_BUNDLE
from tests.events.test_clips import Script, balance, steady, tags
from xsd_edge.bundle import Bundle
from xsd_edge.errors import SourceError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.source import open_source
from xsd_edge.runtime.ahead import Ahead, Sensed, Slices
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.pipeline import Pipeline
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.stages import Stages
from xsd_edge.video.frames import RenderedFrames

NOTHING = np.zeros((0, 1), np.float32)
FRAME = np.zeros((1, 1, 3), np.uint8)


def sensed(slices: Slices, times: list[float] | None = None) -> Iterator[Sensed]:
    for slice_ in slices:
        if times is not None:
            times.append(time.monotonic())
        yield Sensed(slice_, 0.0, FRAME, NOTHING, None, Stages())


def test_answers_are_those_without_it() -> None:
    session = Session(Bundle(TINY_BUNDLE))
    said = []
    for ahead in (False, True):
        options = RunOptions(TINY_BUNDLE, str(RECORDING), max_tokens=12, fast=True, gamma=3)
        source = open_source(str(RECORDING))
        reader = ClipReader(source, 1_000_000, 8, drop_late=False)
        frames = RenderedFrames(source.geometry)
        pipeline = Pipeline(session, reader, source.geometry, frames, options, ahead=ahead)
        found = list(pipeline.answers())
        said.append([(a.clip, a.decoding.tokens, a.decoding.drafted, a.events) for a in found])
        assert all({"vision", "prefill", "event_encoder"} <= set(a.stages) for a in found)
        balance(reader.totals())
    assert said[0] == said[1]
    assert len(said[0]) == 2


def test_at_most_one_clip_ahead() -> None:
    reader = ClipReader(Script(steady(9)), 1000, 4, drop_late=False)
    taken: list[float] = []
    ahead = iter(Ahead(sensed(reader, taken), reader, 4))
    first = next(ahead)
    time.sleep(0.2)
    assert len(taken) == 5  # one handed out, four waiting
    found = [first, *ahead]
    assert tags([s.slice for s in found]) == [(c, i) for c in range(9) for i in range(4)]


def test_a_clip_that_grew_old_is_given_back_and_counted() -> None:
    begun, more, rest = threading.Event(), threading.Event(), threading.Event()
    events = steady(6)
    source = Script(
        events.between(0, 1001), begun, events.between(1001, 2001), more,
        events.between(2001, 6001), rest,
    )  # fmt: skip
    reader = ClipReader(source, 1000, 4, drop_late=True)
    taken: list[float] = []
    ahead = iter(Ahead(sensed(reader, taken), reader, 4))
    found = [next(ahead) for _ in range(4)]
    begun.set()
    while len(taken) < 8:  # the second clip waits, ready
        time.sleep(0.001)
    more.set()
    while reader.totals()["windows_dropped"] < 3:
        time.sleep(0.001)
    rest.set()
    found += list(ahead)
    assert tags([s.slice for s in found]) == [(c, i) for c in (0, 5) for i in range(4)]
    totals = reader.totals()
    assert totals["windows_dropped"] == 4
    assert totals["events_dropped"] == 4000
    balance(totals)


def test_an_error_comes_after_what_was_complete() -> None:
    reader = ClipReader(Script(steady(2), SourceError("gone")), 1000, 4, drop_late=False)
    ahead = iter(Ahead(sensed(reader), reader, 4))
    found = [next(ahead).slice for _ in range(8)]
    with pytest.raises(SourceError, match="gone"):
        next(ahead)
    assert tags(found) == [(c, i) for c in range(2) for i in range(4)]


def test_it_ends_with_who_listens() -> None:
    reader = ClipReader(Script(steady(9)), 1000, 4, drop_late=False)
    ahead = iter(Ahead(sensed(reader), reader, 4))
    next(ahead)
    before = {t for t in threading.enumerate() if t.name == "senses"}
    ahead.close()  # type: ignore[attr-defined]  # a generator's
    for thread in before:
        thread.join(2)
    assert not any(thread.is_alive() for thread in before)
