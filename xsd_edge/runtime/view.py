"""The live view of a run in a terminal: camera, answer as it is said, what drafting brings."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from xsd_edge.runtime.answer import Answer
from xsd_edge.runtime.figures import Figures, Piece, Tally
from xsd_edge.runtime.report import answer_head, answer_tail
from xsd_edge.runtime.watch import Scene, Watcher

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

REFRESH_HZ: Final = 8
BLOCKS: Final = "▁▂▃▄▅▆▇█"
BAR: Final = 24  # characters of the longest stage's bar
DRAFTED, OWN = "bold cyan underline", ""  # told apart without colours, too


class LiveView(Watcher):
    """Draws a tally's figures REFRESH_HZ times a second; each complete answer becomes a line above.

    Drawing happens in a thread of its own: decoding does not wait for a slow terminal.
    """

    def __init__(self, terminal: Console, tally: Tally) -> None:
        from rich.live import Live

        self._tally = tally
        self._live = Live(
            console=terminal,
            get_renderable=lambda: drawn(tally.now),
            refresh_per_second=REFRESH_HZ,
            transient=True,
        )

    def began(self, scene: Scene) -> None:
        self._live.start()

    def answered(self, answer: Answer) -> None:
        line = said(self._tally.now)
        line.append(answer_tail(answer), "dim")
        self._live.console.print(line)

    def ended(self) -> None:
        self._live.stop()


def drawn(now: Figures) -> RenderableType:
    """All figures, as a box of the terminal's width; what a low terminal cuts off comes last."""
    from rich.console import Group
    from rich.panel import Panel

    figures = _rows(
        [("camera", _camera(now)), ("clip", _clip(now)), ("draft", _draft(now))],
    )
    longest = max((ms for _, ms in now.stages_ms), default=0.0) or 1.0
    stages = _rows(
        [(name, f"{'█' * round(BAR * ms / longest)}▏ {ms:.1f} ms") for name, ms in now.stages_ms]
    )
    answer = said(now) if now.question else ""
    return Panel(Group(figures, "", answer, "", stages), title="xsd-edge run", title_align="left")


def _rows(rows: Sequence[tuple[str, str]]) -> RenderableType:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(ratio=1)
    for row in rows:
        grid.add_row(*row)
    return grid


def said(now: Figures) -> Text:
    """The newest answer behind its question; drafted text underlined."""
    from rich.text import Text

    line = Text(answer_head(now.clip, printable(now.question)), "dim")
    line = Text.assemble(line, *(_styled(piece) for piece in now.pieces))
    return line


def _styled(piece: Piece) -> tuple[str, str]:
    return printable(piece.text), DRAFTED if piece.drafted else OWN


def printable(text: str) -> str:
    """Without control characters: a model may say anything, and terminals obey some of it."""
    return "".join(
        letter
        if letter == "\n" or unicodedata.category(letter) != "Cc"
        else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def _camera(now: Figures) -> str:
    rate = f"{quantity(now.rates[-1])} events/s  {sparkline(now.rates[-24:])}" if now.rates else ""
    drops = f"dropped {quantity(now.events_dropped)} events, {now.clips_dropped} clips"
    return f"{now.sensor}  {rate}  {drops}  frames: {now.frames}"


def _clip(now: Figures) -> str:
    return f"{now.clip}  {'●' * now.seen}{'○' * (now.slices - now.seen)}  {now.state}"


def _draft(now: Figures) -> str:
    shown = []
    if now.rounds:
        last = now.rounds[-1]
        shown.append(
            f"gamma {last.gamma}  {'■' * last.accepted}{'□' * (last.gamma - last.accepted)}"
        )
    if now.acceptance is not None:
        shown.append(f"acceptance {now.acceptance:.0%}")
    if now.per_pass is not None:
        shown.append(f"{now.per_pass:.1f} tokens a pass")
    if now.speedup is not None:
        kind = "timed" if now.speedup.timed else "estimated"
        shown.append(f"speed-up {now.speedup.ratio:.2f}x ({kind})")
    return "  ".join(shown)


def quantity(value: float) -> str:
    """Three figures and a prefix: 1.24 M."""
    for limit, prefix in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {prefix}"
    return f"{value:.3g}"


def sparkline(values: tuple[float, ...]) -> str:
    """One block a value, the highest a full one."""
    highest = max(values, default=0.0)
    if not highest:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[round(value / highest * (len(BLOCKS) - 1))] for value in values)
