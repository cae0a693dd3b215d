"""What a pipe gets: lines that grow as the answer is said, in sum the same as ever."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from tests.runtime.told import round_of, scene, tell
from xsd_edge.runtime.lines import TextLines

EMOJI = "\N{FACE WITH TEARS OF JOY}"


class Written(io.StringIO):
    """A stdout that keeps what was flushed, flush by flush."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed: list[str] = []

    def flush(self) -> None:
        new = self.getvalue()[sum(map(len, self.flushed)) :]
        if new:
            self.flushed.append(new)


def test_text_goes_out_as_it_is_accepted() -> None:
    lines = TextLines()
    with redirect_stdout(Written()) as stdout:
        lines.began(scene())
        tell(lines, 2, [round_of(" A"), round_of(" car", 4, 3), round_of(f"{EMOJI} \n", 3, 1)])
        lines.ended()
    tail = " | 4 of 7 drafts accepted | 5.0 tokens a pass | answer 300 ms after the clip\n"
    assert stdout.flushed == ["clip 2 | What? ", "A", " car", EMOJI, tail]


def test_an_interrupted_answer_ends_its_line() -> None:
    lines = TextLines()
    with redirect_stdout(Written()) as stdout:
        lines.began(scene())
        lines.asked(0, "What?")
        lines.spoke(round_of("A"))
        lines.ended()
    assert stdout.getvalue() == "clip 0 | What? A\n"
