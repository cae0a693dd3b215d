"""Header: what stands in front of a stream's data, and what it tells of encoding and sensor size.

Prophesee's '%' lines, DAT's two bytes behind them, Event Stream's twenty bytes, or nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from xsd_edge.errors import FormatError
from xsd_edge.events.packet import Geometry

LONGEST_LINE: Final = 4096
TIME_HIGH: Final = 8  # a kind of EVT2.1 word
LONGEST_HEADER: Final = 1 << 16
VGA, HD, GENX320 = Geometry(640, 480), Geometry(1280, 720), Geometry(320, 320)

# Sensors that do not write their size, by system_ID and by start of the plug-in's name (OpenEB).
SYSTEM_SIZES: Final = {
    **dict.fromkeys((0x15, 0x17, 0x19, 0x1C, 0x1D, 0x21, 0x22, 0x23, 0x28, 0x29), VGA),
    **dict.fromkeys((0x1A, 0x1E, 0x1F, 0x20, 0x27, 0x2E, 0x30, 0x31, 0x32), HD),
    **dict.fromkeys((0x3B, 0x40), GENX320),
}
PLUGIN_SIZES: Final = {"gen3": VGA, "gen4": HD, "imx636": HD, "genx320": GENX320}


DAT_RECORDS: Final = (b"\x00\x08", b"\x0c\x08")  # an event's type, 2D or CD, and its size in bytes
ES_MAGIC: Final = b"Event Stream"
ES_LENGTH: Final = 20
ES_DVS: Final = 1
ENOUGH_WORDS: Final = 64  # of EVT2.1 to tell its endianness by


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in front of the data. `fields` has lower-case keys; `length` is in bytes.

    `encoding` names the data's encoding, like "evt3", if that is known. `complete` is False where
    more bytes could still belong to the header, or tell more.
    """

    fields: dict[str, str]
    length: int
    complete: bool
    encoding: str | None = None

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read the header off the start of `data`; without one, an empty header.

        Lines end at "% end" or in front of the first that is not '%' and text.

        Raises:
            FormatError: the header does not end within LONGEST_HEADER bytes, or it is of an Event
                Stream that holds something else than DVS events.
        """
        if data and ES_MAGIC.startswith(data[: len(ES_MAGIC)]):
            return _event_stream(data)
        fields: dict[str, str] = {}
        start = 0
        while data.startswith(b"%", start):
            if start > LONGEST_HEADER:
                raise FormatError("a recording's header is implausibly long; record it again")
            stop = data.find(b"\n", start, start + LONGEST_LINE)
            line = data[start : stop if stop >= 0 else start + LONGEST_LINE]
            if not _is_text(line) or (stop < 0 and len(line) == LONGEST_LINE):
                break  # data that happen to begin with '%'
            if stop < 0:
                return replace(_with_encoding(fields, start, data), complete=False)
            start = stop + 1
            words = line[1:].decode("ascii").split(maxsplit=1)
            if words == ["end"]:
                return _with_encoding(fields, start, data)
            if words:
                fields[words[0].lower()] = words[1].strip() if len(words) > 1 else ""
        return _with_encoding(fields, start, data)

    @property
    def t0_us(self) -> int:
        """What the times in the data are relative to."""
        text = self.fields.get("t0", "0")
        return int(text) if re.fullmatch(r"-?\d{1,18}", text) else 0

    @property
    def geometry(self) -> Geometry | None:
        """Sensor size: said by `geometry` or `format`, or implied by the sensor's name.

        Raises:
            SourceError: the size is impossible.
        """
        if "geometry" in self.fields:
            return Geometry.parse(self.fields["geometry"])
        said = dict(re.findall(r"(width|height)=(\d{1,5})\b", self.fields.get("format", "")))
        width, height = (said.get(key) or self.fields.get(key, "") for key in ("width", "height"))
        if width.isdecimal() and height.isdecimal():
            return Geometry(int(width[:9]), int(height[:9]))
        system = self.fields.get("system_id", "")
        if system.isdecimal() and int(system[:9]) in SYSTEM_SIZES:
            return SYSTEM_SIZES[int(system[:9])]
        plugin = self.fields.get("plugin_name", "").lower().removeprefix("hal_plugin_")
        return next((size for name, size in PLUGIN_SIZES.items() if plugin.startswith(name)), None)


def _event_stream(data: bytes) -> Header:
    if len(data) < ES_LENGTH:
        return Header({}, 0, False)
    version, kind = data[12], data[15]
    if version != 2 or kind != ES_DVS:
        raise FormatError(
            f"an Event Stream of version {version} and type {kind} cannot be read; "
            "convert it to one of version 2 that holds DVS events"
        )
    sides = (int.from_bytes(data[at : at + 2], "little") for at in (16, 18))
    fields = dict(zip(("width", "height"), map(str, sides), strict=True))
    return Header(fields, ES_LENGTH, True, "es")


def _with_encoding(fields: dict[str, str], length: int, data: bytes) -> Header:
    """The header of '%' lines that end at `length`, if more data cannot change what it says."""
    ended = length < len(data)
    name = fields.get("format", "").split(";")[0].strip().lower()
    version = fields.get("evt", "")
    if not name and version:
        name = "evt" + version.removesuffix(".0").replace(".", "")
    if name == "evt21":
        sample = data[length : length + ENOUGH_WORDS * 8]
        endianness = _said_endianness(fields)
        legacy = endianness == "legacy" if endianness else _looks_legacy(sample)
        ended = ended and (bool(endianness) or len(sample) == ENOUGH_WORDS * 8)
        return Header(fields, length, ended, "evt21-legacy" if legacy else name)
    if not name and ("version" in fields or "data" in fields):
        return _dat(fields, length, data)
    return Header(fields, length, ended, name or None)


def _dat(fields: dict[str, str], length: int, data: bytes) -> Header:
    """DAT has no name for itself: its lines tell a version or "Data file", then come two bytes."""
    mark = data[length : length + 2]
    if len(mark) < 2:
        return Header(fields, length, False)
    if mark not in DAT_RECORDS:
        return Header(fields, length, True)
    if fields.get("version", "2") in ("0", "1"):
        raise FormatError(
            "a DAT file of version 0 or 1 packs its pixels differently; convert it to version 2"
        )
    return Header(fields, length + 2, length + 2 < len(data), "dat")


def _said_endianness(fields: dict[str, str]) -> str:
    said = re.search(r"endianness=(\w+)", fields.get("format", ""))
    return (said[1] if said else fields.get("endianness", "")).lower()


def _looks_legacy(sample: bytes) -> bool:
    """Is a kind of EVT2.1 words more often where legacy words have it?"""
    halves = [sample[at + 3] >> 4 for at in range(0, len(sample) - 3, 4)]
    first, second = (sum(kind == TIME_HIGH for kind in halves[at::2]) for at in (0, 1))
    return first > second


def _is_text(line: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r" for byte in line)
