"""The live view of a run in a terminal: camera, answer as it is said, what drafting brings."""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from queue import SimpleQueue
from threading import Event, Thread
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
ECHO: Final = "^C"  # what a terminal writes behind the box by itself; it must not wrap there
DRAFTED, OWN = "bold cyan underline", ""  # told apart without colours, too


class LiveView(Watcher):
    """Draws a tally's figures REFRESH_HZ times a second; each complete answer becomes a line above.

    All drawing, those lines too, is one thread's: decoding does not wait for a slow terminal, and
    rich loses track of the cursor where two threads print at once.

    Raises:
        OSError: the terminal is gone; raised with the next answer.
    """

    def __init__(self, terminal: Console, tally: Tally) -> None:
        from rich.constrain import Constrain
        from rich.live import Live

        self._tally = tally
        self._live = Live(
            console=terminal,
            get_renderable=lambda: Constrain(drawn(tally.now), terminal.width - len(ECHO)),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._above: SimpleQueue[Text] = SimpleQueue()
        self._over = Event()
        self._drawing = Thread(target=self._draw, name="view", daemon=True)
        self._error: OSError | None = None

    def began(self, scene: Scene) -> None:
        self._drawing.start()

    def answered(self, answer: Answer) -> None:
        if self._error is not None:
            raise self._error
        line = said(self._tally.now)
        line.append(answer_tail(answer), "dim")
        self._above.put(line)

    def ended(self) -> None:
        self._over.set()
        if self._drawing.ident is not None:
            self._drawing.join()

    def _draw(self) -> None:
        try:
            with self._live, _talk_to(self._above):
                while not self._over.wait(1 / REFRESH_HZ):
                    self._show()
                self._show()
        except OSError as error:
            self._error = error

    def _show(self) -> None:
        while not self._above.empty():
            self._live.console.print(self._above.get())
        self._live.refresh()


class _Aside(io.TextIOBase):
    """Takes what is written; each whole line goes to `lines`."""

    def __init__(self, lines: SimpleQueue[Text]) -> None:
        self._lines, self._begun = lines, ""

    def write(self, text: str) -> int:
        from rich.text import Text

        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._lines.put(Text(line))
        return len(text)


@contextmanager
def _talk_to(lines: SimpleQueue[Text]) -> Iterator[None]:
    """What is said on stderr meanwhile goes to `lines`, if it would land in the drawing."""
    if not sys.stderr.isatty():
        yield
        return
    with redirect_stderr(_Aside(lines)):
        yield


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

    line = Text(answer_head(now.about, printable(now.question)), "dim")
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
