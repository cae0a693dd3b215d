"""Header: the '%' lines in front of Prophesee recordings, and the sensor size they tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from xsd_edge.errors import FormatError
from xsd_edge.events.packet import Geometry

LONGEST_LINE: Final = 4096
LONGEST_HEADER: Final = 1 << 16
VGA, HD, GENX320 = Geometry(640, 480), Geometry(1280, 720), Geometry(320, 320)

# Sensors that do not write their size, by system_ID and by start of the plug-in's name (OpenEB).
SYSTEM_SIZES: Final = {
    **dict.fromkeys((0x15, 0x17, 0x19, 0x1C, 0x1D, 0x21, 0x22, 0x23, 0x28, 0x29), VGA),
    **dict.fromkeys((0x1A, 0x1E, 0x1F, 0x20, 0x27, 0x2E, 0x30, 0x31, 0x32), HD),
    **dict.fromkeys((0x3B, 0x40), GENX320),
}
PLUGIN_SIZES: Final = {"gen3": VGA, "gen4": HD, "imx636": HD, "genx320": GENX320}


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in front of the data. `fields` has lower-case keys; `length` is in bytes.

    `complete` is False where more bytes could still belong to the header.
    """

    fields: dict[str, str]
    length: int
    complete: bool

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read the header off the start of `data`; without one, an empty header.

        It ends at "% end" or in front of the first line that is not '%' and text.

        Raises:
            FormatError: the header does not end within LONGEST_HEADER bytes.
        """
        fields: dict[str, str] = {}
        start = 0
        while data.startswith(b"%", start):
            if start > LONGEST_HEADER:
                raise FormatError("a recording's header is implausibly long; record it again")
            stop = data.find(b"\n", start, start + LONGEST_LINE)
            line = data[start : stop if stop >= 0 else start + LONGEST_LINE]
            if not _is_text(line) or (stop < 0 and len(line) == LONGEST_LINE):
                return cls(fields, start, True)  # data that happen to begin with '%'
            if stop < 0:
                return cls(fields, start, False)
            start = stop + 1
            words = line[1:].decode("ascii").split(maxsplit=1)
            if words == ["end"]:
                return cls(fields, start, True)
            if words:
                fields[words[0].lower()] = words[1].strip() if len(words) > 1 else ""
        return cls(fields, start, start < len(data))

    @property
    def encoding(self) -> str | None:
        """Name of the data's encoding, like "evt3", if the header says it."""
        name = self.fields.get("format", "").split(";")[0].strip().lower()
        if name:
            return name
        version = self.fields.get("evt", "").strip()
        return "evt" + version.removesuffix(".0").replace(".", "") if version else None

    @property
    def geometry(self) -> Geometry | None:
        """Sensor size: said by `geometry` or `format`, or implied by the sensor's name.

        Raises:
            SourceError: the size is impossible.
        """
        if "geometry" in self.fields:
            return Geometry.parse(self.fields["geometry"])
        said = dict(re.findall(r"(width|height)=(\d{1,5})\b", self.fields.get("format", "")))
        if len(said) == 2:
            return Geometry(int(said["width"]), int(said["height"]))
        system = self.fields.get("system_id", "")
        if system.isdecimal() and int(system[:9]) in SYSTEM_SIZES:
            return SYSTEM_SIZES[int(system[:9])]
        plugin = self.fields.get("plugin_name", "").lower().removeprefix("hal_plugin_")
        return next((size for name, size in PLUGIN_SIZES.items() if plugin.startswith(name)), None)


def _is_text(line: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r" for byte in line)
