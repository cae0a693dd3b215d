"""Says things: data on stdout, talk on stderr (rich on a terminal, plain lines otherwise)."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

PLAIN_SECONDS = 15.0  # between two progress lines where no bar can be drawn


def say(line: str) -> None:
    """One line of talk."""
    print(line, file=sys.stderr, flush=True)


def error(message: str) -> None:
    """What went wrong and what to do, on one line."""
    print(f"xsd-edge: error: {' '.join(message.split())}", file=sys.stderr, flush=True)


def data(text: str) -> None:
    """One piece of the command's result, readable at once by whoever reads our stdout."""
    print(text, flush=True)


def data_part(text: str) -> None:
    """The next part of a line of the result, readable at once; `data` ends the line."""
    print(text, end="", flush=True)


def data_json(value: object, *, indent: int | None = None) -> None:
    """One JSON document; on one line unless `indent` is given. NaN is an error: it is not JSON."""
    data(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False))


class Table(NamedTuple):
    """A title, column names, and rows of as many cells."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def table(shown: Table) -> None:
    """A table as data: drawn on a terminal that is wide enough, aligned columns otherwise."""
    if sys.stdout.isatty() and _draw(shown):
        return
    lines = (shown.header, *shown.rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    data(f"# {shown.title}")
    for line in lines:
        data(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def _draw(shown: Table) -> bool:
    """Draw a table, or nothing where cells would have to be cut: half a number is a wrong one."""
    from rich.console import Console
    from rich.table import Table as Drawn

    drawn = Drawn(*shown.header, title=shown.title)
    for row in shown.rows:
        drawn.add_row(*row)
    terminal = Console(markup=False)  # a user's board file may say [red]
    anywhere = terminal.options.update(width=1000)  # a measure never exceeds the room it is given
    fits = terminal.measure(drawn, options=anywhere).maximum <= terminal.width
    if fits:
        terminal.print(drawn)
    return fits


def screen() -> Console | None:
    """The terminal that stdout is, if it is one that can be drawn on."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    terminal = Console(markup=False, highlight=False)
    return None if terminal.is_dumb_terminal else terminal


def silence_stdout() -> None:
    """Whoever read our stdout is gone: let the interpreter's last flush go nowhere, quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass
class Steps:
    """Progress of named phases: bars on a terminal, else a line now and then and at each end."""

    bars: Progress | None = None
    tasks: dict[str, TaskID] = field(default_factory=dict)
    last: float = -PLAIN_SECONDS

    def __call__(self, phase: str, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Phase `phase` has done `step` of `steps`; `values` are its newest measurements."""
        shown = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        if self.bars is not None:
            if phase not in self.tasks:
                self.tasks[phase] = self.bars.add_task(phase, total=steps, values="")
            self.bars.update(self.tasks[phase], completed=step, total=steps, values=shown)
        elif step >= steps or time.monotonic() - self.last >= PLAIN_SECONDS:
            self.last = time.monotonic()
            say(f"{phase} {step}/{steps} {shown}".rstrip())


@contextmanager
def progress() -> Iterator[Steps]:
    """Show progress until the block ends."""
    if not sys.stderr.isatty():
        yield Steps()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    text, values = TextColumn("{task.description}"), TextColumn("{task.fields[values]}")
    columns = (text, BarColumn(), MofNCompleteColumn(), Remaining(), values)
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield Steps(bars)
