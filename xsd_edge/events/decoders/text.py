"""Text: events as lines of four numbers, comma, semicolon, tab or space between them.

A header line may name the columns and their unit ("t_us", "x", "y", "p"; "x@640" tells the size
too, as may a first line of just width and height). Without one the order is the one of ORDERS that
the numbers allow. Times with a decimal point are seconds, whole ones microseconds, or nanoseconds
where they are too large for that.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.columns import LATEST
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Wanted

CHUNK: Final = 1 << 18  # bytes
SNIFF: Final = 1 << 14  # bytes looked at to learn the layout
LONGEST_LINE: Final = 1024
ORDERS: Final = ("txyp", "xypt", "xytp")
MOSTLY: Final = 0.9  # of the first lines; the others are damage
MICROSECONDS: Final = {"s": 1e6, "sec": 1e6, "ms": 1e3, "us": 1.0, "usec": 1.0, "ns": 1e-3}
NANOSECONDS_FROM: Final = 10**17  # as microseconds these would be the year 5138

NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
WHOLE: Final = re.compile(r"[+-]?\d+")
REAL: Final = re.compile(NUMBER)
NAMES: Final = {
    "t": re.compile(r"(?:t|ts|times?|timestamps?)(?:[\s_\[(]*(s|sec|ms|us|usec|ns)[\])]?)?"),
    "x": re.compile(r"(?:x|x_pos|col|column)(?:@(\d{1,5}))?"),
    "y": re.compile(r"(?:y|y_pos|row)(?:@(\d{1,5}))?"),
    "p": re.compile(r"(?:p|pol|polarity|on|sign)()"),
}


class Layout(NamedTuple):
    """`order` is the column number of t, x, y and p; `to_us` what times are multiplied by."""

    delimiter: str | None  # None: any white space
    order: tuple[int, int, int, int]
    to_us: float
    whole: bool  # every number; then times keep all their digits
    skip: int  # lines before the first event
    geometry: Geometry | None


def fits(path: Path, head: bytes) -> bool:
    """Do its first lines read as events?"""
    return sniff(head) is not None


def open_file(path: Path, wanted: Wanted) -> Recording:
    """A file of lines.

    Raises:
        FormatError: they are no events.
        SourceError: it does not tell its sensor's size.
    """
    with path.open("rb") as file:
        layout = sniff(file.read(SNIFF))
    if layout is None:
        raise FormatError(f"{path} has no lines of t, x, y, p; name its columns in a first line")
    geometry = wanted.geometry or layout.geometry
    if geometry is None:
        raise SourceError(f"{path} does not tell its sensor's size; add it: {path}?size=640x480")
    counters = Counters()
    decoded = _decoded(path, TextDecoder(layout, geometry, counters))
    return Recording(str(path), "csv", geometry, counters, decoded)


def _decoded(path: Path, decoder: TextDecoder) -> Generator[EventPacket]:
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                yield from decoder.feed(data)
    except OSError as error:
        raise SourceError(f"cannot read {path} on: {error.strerror}; copy it and retry") from error
    yield from decoder.finish()


class TextDecoder:
    """Stateful: bytes in portions of any size give the same events."""

    def __init__(self, layout: Layout, geometry: Geometry, counters: Counters) -> None:
        self._layout = layout
        self._counters = counters
        self._continuity = Continuity(geometry, counters)
        self._skip = layout.skip
        self._rest = b""
        self._bad_before = False
        self._line = _line_pattern(layout)

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events of the lines that `data` completes."""
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if len(self._rest) > CHUNK:  # no line of ours; what follows is judged as the next
            self._rest = b""
            self._note_bad(True)
        return self._events(whole + newline) if newline else []

    def finish(self) -> list[EventPacket]:
        """The events of a last line that lacks its end; half a line is truncation."""
        last, self._rest = self._rest, b""
        if last and self._line.fullmatch(last.decode("latin-1").strip()) is None:
            self._counters.truncated = True
            return []
        return self._events(last)

    def _events(self, data: bytes) -> list[EventPacket]:
        lines = data.decode("latin-1").split("\n")
        if self._skip:
            skipped = min(self._skip, len(lines) - 1)
            self._skip -= skipped
            lines = lines[skipped:]
        if not any(map(str.strip, lines)):
            return []
        try:
            table = self._table(lines)
            self._note_bad(False)
        except (ValueError, OverflowError):
            lines = self._good(lines)
            if not lines:
                return []
            table = self._table(lines)
        return self._continuity.packets(*self._columns(table))

    def _table(self, lines: list[str]) -> NDArray[Any]:
        dtype = np.int64 if self._layout.whole else np.float64
        # A '#' begins a comment; the columns beyond the fourth are nobody's.
        return np.loadtxt(
            lines,
            dtype,
            delimiter=self._layout.delimiter,
            usecols=self._layout.order,
            ndmin=2,
            comments="#",
        )

    def _good(self, lines: list[str]) -> list[str]:
        good = []
        for line in lines:
            text = line.partition("#")[0].strip()
            fine = self._line.fullmatch(text) is not None
            if text:
                self._note_bad(not fine)
            if text and fine:
                good.append(text)
        return good

    def _note_bad(self, bad: bool) -> None:
        self._counters.resyncs += bad and not self._bad_before
        self._bad_before = bad

    def _columns(
        self, table: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8]]:
        with np.errstate(over="ignore"):
            t = table[:, 0] * self._layout.to_us if self._layout.to_us != 1 else table[:, 0]
        keep = (np.abs(t) < LATEST) & np.isin(table[:, 3], (-1, 0, 1))
        for column in (1, 2):
            keep &= (table[:, column] >= 0) & (table[:, column] <= 0xFFFF)
        self._counters.dropped_geometry += len(table) - int(np.count_nonzero(keep))
        t, table = t[keep], table[keep]
        x, y, p = (table[:, column] for column in (1, 2, 3))
        return (
            np.rint(t).astype(np.int64),
            x.astype(np.uint16),
            y.astype(np.uint16),
            (p > 0).astype(np.uint8),
        )


def sniff(head: bytes) -> Layout | None:
    """The layout of a text that begins with `head`; None if it is no text of events."""
    text = head[:SNIFF]
    if b"\0" in text:
        return None
    lines = text.decode("utf-8", "replace").split("\n")
    if len(head) >= SNIFF:
        lines.pop()  # probably cut
    skip, geometry = 0, None
    named: _Named | None = None
    rows: list[list[str]] = []
    delimiter: str | None = None
    for line in lines:
        content = line.partition("#")[0].strip()
        cells = _cells(content)
        needed = [cells[at] for at in named.order if at < len(cells)] if named else cells
        if len(needed) >= 4 and all(map(REAL.fullmatch, needed)):
            delimiter = delimiter if rows else _delimiter(content)
            rows.append(cells)
        elif not rows and content:
            if named is None and len(cells) == 2 and all(map(WHOLE.fullmatch, cells)):
                geometry = _size(*cells)
            elif named is not None or (named := _named(cells)) is None:
                return None
        skip += not rows
    return _layout(named, geometry, rows, delimiter, skip) if rows else None


def _layout(
    named: _Named | None,
    geometry: Geometry | None,
    rows: list[list[str]],
    delimiter: str | None,
    skip: int,
) -> Layout | None:
    unit = named.unit if named else ""
    if named is None:
        found = next(((o, fit) for o in ORDERS if (fit := _fitting(o, rows))), None)
        if found is None:
            return None
        name, rows = found
        order = (name.index("t"), name.index("x"), name.index("y"), name.index("p"))
    else:
        order, geometry = named.order, geometry or named.geometry
    times = [row[order[0]] for row in rows]
    whole = all(WHOLE.fullmatch(row[column]) for row in rows for column in order)
    if not unit:
        fraction = any(WHOLE.fullmatch(cell) is None for cell in times)
        unit = "s" if fraction else "us"
        if not fraction and max(abs(int(cell)) for cell in times) >= NANOSECONDS_FROM:
            unit = "ns"
    return Layout(delimiter, order, MICROSECONDS[unit], whole, skip, geometry)


class _Named(NamedTuple):
    """What a header line says: columns of t, x, y and p, the unit of time, the sensor's size."""

    order: tuple[int, int, int, int]
    unit: str
    geometry: Geometry | None


def _named(names: list[str]) -> _Named | None:
    clean = [name.strip("\"' ").lower().replace("µ", "u") for name in names]
    order: list[int] = []
    said: list[str] = []
    for pattern in NAMES.values():
        matches = [(at, m) for at, name in enumerate(clean) if (m := pattern.fullmatch(name))]
        if len(matches) != 1:
            return None
        order.append(matches[0][0])
        said.append(matches[0][1][1] or "")
    return _Named((order[0], order[1], order[2], order[3]), said[0], _size(said[1], said[2]))


def _size(width: str, height: str) -> Geometry | None:
    if width.isdecimal() and height.isdecimal():
        return Geometry(int(width[:9]), int(height[:9]))
    return None


def _fitting(order: str, rows: list[list[str]]) -> list[list[str]]:
    """The rows that are events if columns come in that order; none unless nearly all are."""
    fitting: list[list[str]] = []
    latest = -np.inf
    for row in rows:
        t, x, y, p = (float(row[order.index(key)]) for key in "txyp")
        pixel = all(0 <= value <= 0xFFFF and value == int(value) for value in (x, y))
        if pixel and p in (-1, 0, 1) and t >= latest:
            fitting.append(row)
            latest = t
    return fitting if len(fitting) >= MOSTLY * len(rows) else []


def _delimiter(line: str) -> str | None:
    return next((mark for mark in ",;" if mark in line), None)


def _cells(line: str) -> list[str]:
    mark = _delimiter(line)
    return [cell.strip() for cell in line.split(mark)] if line else []


def _line_pattern(layout: Layout) -> re.Pattern[str]:
    """A line that loadtxt accepts."""
    gap = rf"\s*{layout.delimiter}\s*" if layout.delimiter else r"\s+"
    other = rf"[^{layout.delimiter or chr(32)}]*"
    number = r"[+-]?\d{1,18}" if layout.whole else NUMBER
    last = max(layout.order)
    cells = [number if column in layout.order else other for column in range(last + 1)]
    return re.compile(gap.join(cells) + rf"(?:{gap}.*)?")
