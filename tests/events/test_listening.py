"""What is heard of a source's beginning, and what is left of it."""

from __future__ import annotations

import time

from tests.conftest import RECORDING
from xsd_edge.events.listening import Listened
from xsd_edge.events.source import Paced, open_source

EVENTS = 343_474


def test_a_recording_still_begins_at_its_beginning() -> None:
    source = Listened(open_source(str(RECORDING)))
    heard = source.listen(500_000)
    lasted = int(heard.events.t[-1] - heard.events.t[0])
    assert 500_000 < lasted < 700_000
    assert heard.began_us == int(heard.events.t[0])
    assert sum(map(len, source.packets())) == EVENTS
    source.close()


def test_what_was_heard_of_a_camera_is_over() -> None:
    source = Listened(Paced(open_source(str(RECORDING))))
    began = time.perf_counter()
    heard = source.listen(300_000)
    took = time.perf_counter() - began
    assert 0.25 < took < 1.9  # not all of its 2.08 s
    # Its clock, shifted, is ours: the last event came just before now.
    assert 0 <= time.perf_counter() * 1e6 - (int(heard.events.t[-1]) + heard.behind_us) < 1e6
    rest = next(packet for packet in source.packets() if len(packet))
    assert int(rest.t[0]) >= int(heard.events.t[-1])
    source.close()
