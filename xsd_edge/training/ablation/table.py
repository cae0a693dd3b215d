"""The ablation as Markdown, put between the marks of a page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from xsd_edge.errors import TrainingError
from xsd_edge.training.ablation.rows import BY_NAME
from xsd_edge.training.ablation.wording import KINDS
from xsd_edge.training.loop import whole

BEGIN: Final = "<!-- what stands from here to the end mark is written by: xsd-edge train ablate -->"
END: Final = "<!-- end -->"
TITLES: Final = {
    "sharp": "Sharp frames",
    "blur": "Motion blur",
    "dark": "Darkness",
    "two_frames": "Two frames of eight",
}
COLUMNS: Final = ("sees", "theory", "T = 0", "T = 1", "tokens a round", "c", "speed-up", *KINDS)


def render(document: dict[str, Any]) -> str:
    """All tables, with a blank line between them."""
    parts = [
        _section(TITLES[name], found, document["c"])
        for name, found in document["conditions"].items()
    ]
    return "\n".join((*parts, _gains(document["conditions"])))


def _section(title: str, found: dict[str, Any], costs: dict[str, float]) -> str:
    rows = []
    for name, figures in found["rows"].items():
        expected = BY_NAME[name].expected
        rows.append(
            (
                BY_NAME[name].title,
                f"{expected[0]}-{expected[1]}" if expected else "",
                *map(_number, (figures["acceptance_t0"], figures["acceptance_t1"])),
                _number(figures["tokens_per_round"]),
                _number(costs[name], 3),
                _number(figures["speedup"]),
                *(_number(figures["said"][kind]) for kind in KINDS),
            )
        )
    about = (
        f"### {title}\n{found['captions']} captions of {found['streams']} streams, "
        f"{_number(found['exact_caption'])} of which the target gets right word for word.\n"
    )
    return f"{about}\n{_markdown(COLUMNS, rows)}"


def _gains(conditions: dict[str, Any]) -> str:
    pairs = next(iter(conditions.values()))["gains"]
    rows = []
    for pair in pairs:
        more, less = pair.split(" - ")
        cells = [_gain(found["gains"].get(pair)) for found in conditions.values()]
        rows.append((BY_NAME[more].title, BY_NAME[less].title, *cells))
    about = "### What one input adds\nTokens a round (p of no gain, one-sided, paired by stream).\n"
    columns = ("with", "without", *(TITLES[name].lower() for name in conditions))
    return f"{about}\n{_markdown(columns, rows)}"


def _gain(found: dict[str, float] | None) -> str:
    return f"{found['tokens_per_round']:+.2f} ({found['p']:.4f})" if found else ""


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(header)
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def put(document: dict[str, Any], page: Path) -> None:
    """Write the tables between the page's marks.

    Raises:
        TrainingError: the page cannot be read or written, or lacks the marks.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"cannot read {page}: {error.strerror}; give a page") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise TrainingError(f"{page} lacks the lines {BEGIN!r} and {END!r}; put them in")
    write_text(page, f"{before}{BEGIN}\n{render(document)}{END}{after}")


def write_text(path: Path, text: str) -> None:
    """Whole or not at all.

    Raises:
        TrainingError: it cannot be written.
    """
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
