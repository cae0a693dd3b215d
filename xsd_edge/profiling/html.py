"""The profile as one HTML file that needs nothing else: data, style and script are inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from xsd_edge.profiling.arms import DRAFTED, PLAIN, Pair, Take
from xsd_edge.profiling.document import Document, Measured
from xsd_edge.profiling.spans import of_take

SHOWN_CLIPS = 24  # in the timeline; a long run shows as many, evenly spread


def write(path: Path, document: Document, seen: Measured) -> None:
    """Write the report."""
    path.write_text(page(document, timeline(seen.pairs)), encoding="utf-8")


def page(document: Document, clips: Sequence[dict[str, Any]]) -> str:
    """The whole page. Data cannot end its script element: every < in it is escaped."""
    parts = files("xsd_edge.profiling") / "report"
    data = json.dumps({"document": document, "timeline": clips}, separators=(",", ":"))
    text = (parts / "report.html").read_text(encoding="utf-8")
    for mark, content in (
        ("/*CSS*/", (parts / "report.css").read_text(encoding="utf-8")),
        ("/*JS*/", (parts / "report.js").read_text(encoding="utf-8")),
        ("/*DATA*/", data.replace("<", "\\u003c")),
    ):
        text = text.replace(mark, content, 1)
    return text


def timeline(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Spans of some clips, in milliseconds from when each arm was handed the clip."""
    step = max(len(pairs) / SHOWN_CLIPS, 1.0)
    chosen = [int(i * step) for i in range(min(len(pairs), SHOWN_CLIPS))]
    return [
        {
            "clip": index,
            "text": pairs[index].drafted.answers[0].text,
            "arms": [_arm(DRAFTED, pairs[index].drafted), _arm(PLAIN, pairs[index].plain)],
        }
        for index in chosen
    ]


def _arm(name: str, take: Take) -> dict[str, Any]:
    spans = [
        [s.depth, s.name, round((s.began - take.began) * 1e3, 3), round(s.seconds * 1e3, 3)]
        for s in of_take(take)
        if s.depth
    ]
    first = take.answers[0].decoding
    spoken = take.rounds[first.rounds].ended - first.answer_s  # the clip's end: waiting begins
    return {
        "name": name,
        "ms": round(take.seconds * 1e3, 3),
        "end": round((spoken - take.began) * 1e3, 3),
        "spans": spans,
    }
