"""Text recordings: columns, units and sizes are found out; bad lines cost only themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.events.encoders import random_events, rows
from tests.events.judging import everything
from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.decoders.text import TextDecoder, sniff
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import open_source

VGA = Geometry(640, 480)
EVENTS = rows(random_events(300, 5_000_000, 5_200_000))
Row = tuple[int, int, int, int]


def lines(events: Sequence[Row], form: str) -> str:
    return "".join(
        form.format(t=t, x=x, y=y, p=p, s=f"{t // 10**6}.{t % 10**6:06}", sign=2 * p - 1) + "\n"
        for t, x, y, p in events
    )


@pytest.mark.parametrize(
    ("first", "form"),
    [
        ("", "{t} {x} {y} {p}"),
        ("", "{s} {x} {y} {p}"),
        ("", "{x},{y},{p},{t}"),
        ("", "{x},{y},{t},{sign}"),
        ("", "{t}\t{x}\t{y}\t{p}"),
        ("", "{t};{x};{y};{p}"),
        ("", "{t}000000000000, {x}, {y}, {p}"),
        ("640 480\n", "{s} {x} {y} {p}"),
        ("# made by hand\n\n", "{t},{x},{y},{p}  # an event"),
        ("t,x,y,p\n", "{t},{x},{y},{p}"),
        ("x,y,polarity,timestamp\n", "{x},{y},{sign},{t}"),
        ("t,x@640,y@480,on\n", "{t},{x},{y},{p}"),
        ("Time (s), col, row, pol\n", "{s},{x},{y},{p}"),
        ("t_ns,x,y,p\n", "{t}000,{x},{y},{p}"),
        ("id,t,x,y,p,note\n", "7,{t},{x},{y},{p},fine"),
    ],
)
def test_layouts(tmp_path: Path, first: str, form: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(first + lines(EVENTS, form))
    source = open_source(f"{path}?size=640x480")
    factor = 10**9 if "000000000000" in form else 1  # as nanoseconds these are so many microseconds
    assert rows(everything(source)) == [(t * factor, x, y, p) for t, x, y, p in EVENTS]
    assert source.counters == Counters(events=300)
    assert source.encoding == "csv"


def test_the_size_is_said_or_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for first in ("640 480\n", "t,x@640,y@480,p\n"):
        path.write_text(
            first + lines(EVENTS, "{t},{x},{y},{p}" if "," in first else "{t} {x} {y} {p}")
        )
        assert open_source(str(path)).geometry == VGA
    path.write_text(lines(EVENTS, "{t} {x} {y} {p}"))
    with pytest.raises(SourceError, match=r"add it: .*\?size=640x480"):
        open_source(str(path))


def test_seconds_keep_their_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1589163147.368868 1 2 1\n1589163147.368950 3 4 0\n")
    found = everything(open_source(f"{path}?size=346x260"))
    assert found.t.tolist() == [1_589_163_147_368_868, 1_589_163_147_368_950]


@pytest.mark.parametrize("portion", [1, 7, 997, 1 << 16])
def test_portions_do_not_matter(portion: int) -> None:
    data = lines(EVENTS, "{t},{x},{y},{p}").encode()
    layout = sniff(data)
    assert layout is not None
    counters = Counters()
    decoder = TextDecoder(layout, VGA, counters)
    packets = [
        part
        for at in range(0, len(data), portion)
        for part in decoder.feed(data[at : at + portion])
    ]
    packets += decoder.finish()
    assert rows(EventPacket.concatenate(packets)) == EVENTS
    assert counters == Counters(events=300)


def test_bad_lines_are_counted_once_a_stretch(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = lines(EVENTS, "{t},{x},{y},{p}").splitlines(keepends=True)
    bad = ["gar\xffbage\n", "1,2\n", "nan,1,2,1\n", "1,2,3,9999999999999999999999\n"]
    path.write_bytes(
        "".join(good[:100] + bad + good[100:200] + bad[:1] + good[200:]).encode("latin-1")
    )
    source = open_source(f"{path}?size=640x480")
    assert rows(everything(source)) == EVENTS
    assert source.counters == Counters(events=300, resyncs=2)


def test_half_a_line_at_the_end_is_truncation(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = lines(EVENTS, "{t},{x},{y},{p}")
    for cut, events, truncated in ((1, 300, False), (3, 299, True)):
        path.write_text("t,x,y,p\n" + text[: len(text) - cut])
        source = open_source(f"{path}?size=640x480")
        assert len(everything(source)) == events
        assert source.counters.truncated == truncated


def test_impossible_numbers_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,x,y,p\n1,2,3,1\n2,-4,3,1\n3,70000,3,1\n4,5,6,7\n5,6,7,0\n")
    source = open_source(f"{path}?size=640x480")
    assert rows(everything(source)) == [(1, 2, 3, 1), (5, 6, 7, 0)]
    assert source.counters.dropped_geometry == 3


@pytest.mark.parametrize(
    "text",
    [
        "hello\nworld\n",
        "1,2,3\n4,5,6\n",
        "a,b,c,d\n1,2,3,1\n",
        "5 7 2 9\n3 7 1 9\n",
        "\0\0\0\0",
        "%\n",
    ],
)
def test_other_texts_are_no_recordings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match="no recording that can be read"):
        open_source(str(path))
    with pytest.raises(FormatError, match="name its columns in a first line"):
        open_source(f"{path}?format=csv")
