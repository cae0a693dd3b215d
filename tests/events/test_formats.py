"""Input that cannot be used gives one sentence that says what to do, and nothing else happens."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.encoders import evt2_bytes, evt3_bytes, random_events
from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.source import open_source

HEADER = b"% evt 3.0\n% geometry 640x480\n% end\n"
EVENTS = random_events(400, 0, 30_000)


class _Runs:
    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self._path,)


def read(path: Path, spec: str = "") -> int:
    """Open and read it all; the number of events."""
    reader = ClipReader(open_source(spec or str(path)), 10_000, 8, drop_late=False)
    for _ in reader:
        pass
    return reader.totals()["events"]


def test_what_good_files_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(HEADER + evt3_bytes(EVENTS))
    assert read(path) == 400
    path.write_bytes(HEADER + evt3_bytes(EVENTS)[:-1])
    assert read(path) == 399
    path.write_bytes(evt2_bytes(EVENTS))
    assert read(path, f"{path}?format=evt2&size=640x480") == 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; record it again"),
        (HEADER, "holds no events; record it again"),
        (HEADER + b"\x00", "holds no events; record it again"),
        (HEADER[:11], "does not tell its sensor's size; add it: "),
        (
            b"% evt 4.0\n% geometry 640x480\n% end\n\x00",
            "is evt4, .*convert it to one of: evt2, evt21",
        ),
        (b"% evt 3.0\n% end\n\x00\x80", r"add it: .*\?size=640x480"),
        (b"% Version 2\n% end\n\x00\x80", r"no recording that can be read .*say .*\?format=evt3"),
        (b"#!AER-DAT2.0\r\n", "no recording that can be read"),
        (np.random.default_rng(0).bytes(4096), "no recording that can be read"),
        (b"PK\x03\x04" + bytes(100), "not an intact npz"),
        (b"\x93NUMPY\x01\x00v\x00", "not an intact array"),
        (HEADER.replace(b"640x480", b"8x8") + evt3_bytes(EVENTS), "outside 8x8; give the sensor's"),
    ],
)
def test_bad_content(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_malicious_npy_is_refused_and_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "window.npy", tmp_path / "ran"
    box = np.empty((), object)
    box[()] = {"t": _Runs(mark)}
    np.save(path, box, allow_pickle=True)
    with pytest.raises(FormatError, match=r"it names (posix|os)\.mkdir; only a dict of p, t, x, y"):
        read(path)
    path.write_bytes(pickle.dumps(_Runs(mark)))
    with pytest.raises(FormatError, match="no recording that can be read"):
        read(path)
    assert not mark.exists()


def test_a_plain_npy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((5, 4)))
    with pytest.raises(FormatError, match=r"save it as \.npz"):
        read(path)
    box = np.empty((), object)
    box[()] = {"t": np.arange(3)}
    np.save(path, box, allow_pickle=True)
    with pytest.raises(FormatError, match="lacks p, x, y"):
        read(path)


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(b"abc")
    with pytest.raises(
        FormatError, match="unknown format 'evt9'; known: evt2, evt21, evt21-legacy, evt3"
    ):
        read(path, f"{path}?format=evt9")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["evt2", "evt3"]),
    st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=30)), max_size=6),
    st.integers(0, 4000),
    st.booleans(),
)
def test_damaged_streams_never_raise_or_hang(
    tmp_path_factory: pytest.TempPathFactory,
    encoding: str,
    changes: list[tuple[int, bytes]],
    length: int,
    cut: bool,
) -> None:
    data = bytearray(evt3_bytes(EVENTS) if encoding == "evt3" else evt2_bytes(EVENTS))
    for at, noise in changes:
        start = at % len(data)
        data[start : start + len(noise)] = noise
    path = tmp_path_factory.getbasetemp() / "damaged.raw"
    path.write_bytes(b"\x00" + data[:length] if cut else data)
    reader = ClipReader(
        open_source(f"{path}?format={encoding}&size=640x480"), 10_000, 8, drop_late=False
    )
    delivered = 0
    with contextlib.suppress(SourceError):  # no event is left
        delivered = sum(len(part.events) for part in reader)
    totals = reader.totals()
    assert delivered == totals["events_delivered"]
    assert totals["events"] == delivered + totals["events_dropped"] + totals["events_tail"]
