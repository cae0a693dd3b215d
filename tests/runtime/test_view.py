"""The live view: a real run in a real terminal, and what is drawn of a made-up one."""

from __future__ import annotations

import errno
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
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import RECORDING, ROOT, TINY_BUNDLE
from tests.runtime.told import frame_of, round_of, scene, slice_of, tell
from xsd_edge import console
from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.figures import Tally
from xsd_edge.runtime.view import LiveView, drawn, printable, quantity, said, sparkline
from xsd_edge.runtime.watch import Watchers

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


def test_ctrl_c_leaves_a_clean_terminal_and_a_summary(endless: Path) -> None:
    terminal = Terminal("run", "--bundle", TINY_BUNDLE, "--camera", endless)
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


class Paper(io.StringIO):
    """A terminal's paper: what stands on it, and which threads wrote there."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self.lines, self._row, self._column = [""], 0, 0

    def write(self, text: str) -> int:
        self.threads.add(threading.get_ident())
        for escape, plain in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z])|([^\x1b])", text):
            self._obey(escape) if escape else self._put(plain)
        return super().write(text)

    def _obey(self, escape: str) -> None:
        if escape.endswith("A"):
            self._row -= int(escape[2:-1])
            assert self._row >= 0, "above the first line"
        elif escape == "\x1b[2K":
            self.lines[self._row] = ""

    def _put(self, letter: str) -> None:
        if letter == "\n":
            self._row, self._column = self._row + 1, 0
            self.lines += [""] * (self._row + 1 - len(self.lines))
        elif letter == "\r":
            self._column = 0
        else:
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + letter + line[self._column + 1 :]
            self._column += 1


def test_boxes_leave_nothing_behind() -> None:
    """Answers and boxes of all heights, as fast as they come; one thread alone draws them."""
    paper = Paper()
    terminal = Console(file=paper, force_terminal=True, width=60, height=30)
    tally = Tally()
    view = Watchers(tally, LiveView(terminal, tally))
    view.began(scene())
    for clip in range(12):
        tell(view, clip, [round_of("A"), round_of(" word" * (1 + clip % 3 * 20), 9, 4)])
        time.sleep(0.05)
    view.ended()
    assert len(paper.threads) == 1
    assert threading.get_ident() not in paper.threads
    tops = re.findall(r"╭.*╮", ESCAPES.sub("", paper.getvalue()))
    assert {len(top) for top in tops} == {58}  # room for the ^C that the terminal echoes
    text = "\n".join(line.rstrip() for line in paper.lines)
    assert re.findall(r"^clip (\d+) \|", text, re.MULTILINE) == [str(n) for n in range(12)]
    assert "xsd-edge run" not in text
    assert "│" not in text


def test_talk_goes_above_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other threads say on the same terminal; a stderr that leads elsewhere is left alone."""
    for same in (True, False):
        paper, log = Paper(), io.StringIO()
        monkeypatch.setattr(log, "isatty", lambda same=same: same)
        monkeypatch.setattr(sys, "stderr", log)
        tally = Tally()
        view = LiveView(Console(file=paper, force_terminal=True, width=60, height=30), tally)
        view.began(scene())
        deadline = time.monotonic() + 20
        while not paper.threads and time.monotonic() < deadline:
            time.sleep(0.01)
        console.say("The camera is back.")
        view.ended()
        assert sys.stderr is log
        assert ("The camera is back." in paper.lines) is same
        assert log.getvalue() == ("" if same else "The camera is back.\n")


def test_a_terminal_that_went_away_ends_the_run() -> None:
    class Gone(Paper):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "gone")

    tally = Tally()
    view = LiveView(Console(file=Gone(), force_terminal=True, width=60, height=30), tally)
    view.began(scene())
    tally.began(scene())
    view.ended()
    tell(tally, 0, [round_of("A")])
    with pytest.raises(OSError, match="gone"):
        tell(Watchers(tally, view), 1, [round_of("A")])


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
    slice_ = slice_of(1, 0)
    tally.saw(slice_, frame_of(slice_))
    assert said(tally.now).plain == line.plain  # not the next clip's


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
