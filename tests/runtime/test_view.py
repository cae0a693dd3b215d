"""The live view: a real run in a real terminal, and what is drawn of a made-up one."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import RECORDING, ROOT, TINY_BUNDLE
from tests.runtime.told import round_of, scene, tell
from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.figures import Tally
from xsd_edge.runtime.view import drawn, printable, quantity, said, sparkline

RUN = ("run", "--bundle", TINY_BUNDLE, "--camera", RECORDING, "--max-tokens", "24")
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command with a terminal for stdin, stdout and stderr, and all that it wrote there."""

    def __init__(self, *arguments: str | Path, term: str = "xterm-256color", columns: int = 100):
        self._reader, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xsd_edge", *map(str, arguments)],
            env={**environment, "PYTHONPATH": str(ROOT), "TERM": term},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self.text = ""

    def read_until(self, wanted: str, timeout: float = 100) -> None:
        """Read until the text is there, or to the end."""
        deadline = time.monotonic() + timeout
        while wanted not in self.text and time.monotonic() < deadline and self._read():
            pass
        assert wanted in self.text

    def finish(self) -> int:
        while self._read():
            pass
        os.close(self._reader)
        return self.process.wait(timeout=20)

    def _read(self) -> bool:
        try:
            block = os.read(self._reader, 1 << 16)
        except OSError:  # a terminal's end of file
            return False
        self.text += block.decode(errors="replace").replace("\r\n", "\n")
        return bool(block)


def test_a_run_in_a_terminal() -> None:
    terminal = Terminal(*RUN)
    assert terminal.finish() == 0
    drawing = terminal.text
    for shown in (
        "camera",
        "events/s",
        "dropped",
        "gamma",
        "acceptance",
        "tokens a pass",
        "prefill",
    ):
        assert shown in drawing
    assert drawing.count(HIDE_CURSOR) == drawing.count(SHOW_CURSOR) == 1
    # What stays when the view is gone: a line an answer, and the summary.
    rest = drawing[drawing.index(SHOW_CURSOR) :]
    assert "answers 2; " in rest
    lines = [line for line in ESCAPES.sub("", drawing).splitlines() if line.startswith("clip ")]
    assert [line.split(" | ")[0] for line in lines] == ["clip 0", "clip 1"]


def test_ctrl_c_leaves_a_clean_terminal_and_a_summary() -> None:
    terminal = Terminal(*RUN)
    terminal.read_until("clip 0 | ")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert SHOW_CURSOR in terminal.text
    rest = terminal.text[terminal.text.index(SHOW_CURSOR) :]
    assert "answers " in rest
    assert rest.strip().endswith("xsd-edge: interrupted")
    assert "Traceback" not in terminal.text


def test_json_in_a_terminal_is_json() -> None:
    terminal = Terminal(*RUN, "--fast", "--json")
    assert terminal.finish() == 0
    assert "\x1b" not in terminal.text
    assert [line[0] for line in terminal.text.splitlines()] == ["{"] * 3


def test_a_terminal_that_cannot_draw_gets_lines() -> None:
    terminal = Terminal(*RUN, "--fast", term="dumb")
    assert terminal.finish() == 0
    assert "\x1b" not in terminal.text
    assert "clip 1 | Describe the scene. " in terminal.text


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_the_drawing_fits_the_terminal(columns: int) -> None:
    terminal = Console(width=columns, height=30, record=True, file=io.StringIO())
    tally = Tally()
    tally.began(scene(Costs(0.1, (1.0, 1.2, 1.4, 1.6, 1.8), 0.1)))
    tell(tally, 0, [round_of("A"), round_of(" car goes left", gamma=4, accepted=3)])
    terminal.print(drawn(tally.now))
    text = terminal.export_text()
    assert max(map(len, text.splitlines())) <= columns
    for shown in ("62x40", "acceptance 75%", "speed-up 6.36x (estimated)", "verify", "50.0 ms"):
        assert shown in " ".join(text.replace("│", " ").split())


def test_drafted_text_is_underlined() -> None:
    tally = Tally()
    tally.began(scene())
    tell(tally, 0, [round_of("A"), round_of(" car", gamma=4, accepted=3)])
    line = said(tally.now)
    assert line.plain == "clip 0 | What? A car"
    underlined = [line.plain[s.start : s.end] for s in line.spans if "underline" in str(s.style)]
    assert underlined == [" ca"]


def test_a_model_cannot_command_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\x9b1m\nc") == "a�[2Jb��1m\nc"


def test_figures_for_people() -> None:
    assert [quantity(v) for v in (0, 7, 999, 1234, 1_240_000)] == [
        "0",
        "7",
        "999",
        "1.23 k",
        "1.24 M",
    ]
    assert sparkline((0.0, 5.0, 10.0)) == "▁▅█"
    assert sparkline((0.0, 0.0)) == "▁▁"
    assert sparkline(()) == ""
