"""What one `xsd-edge run` is asked to do, checked before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from xsd_edge.errors import XsdEdgeError

DESCRIBE = "Describe the scene."  # what is asked when nothing else is
Frames = Literal["auto", "rendered"]
N = TypeVar("N", int, float)
Mode = Literal["rejection", "exact-match"]
FARTHEST_MS = 10_000.0  # clocks that are farther apart are no offset but another recording


class OptionError(XsdEdgeError):
    """Options that make no sense, alone or together."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `xsd-edge run`.

    Raises:
        OptionError: a value out of range, or two options that contradict each other.
    """

    bundle: Path
    camera: str  # a path, a URI, or the word "demo"
    video: str | None = None  # where the target's frames come from, when not from the recording
    prompts: tuple[str, ...] = (DESCRIBE,)  # all are asked about every clip
    temperature: float = 0.0  # 0: greedy
    top_p: float = 1.0
    top_k: int = 0  # 0: all tokens
    seed: int = 0
    gamma: int | None = None  # draft length; None: chosen from what is measured
    plain: bool = False  # no drafting
    exact: bool = False  # pad plain decoding to the verify pass's rows: bit-identical
    max_clips: int | None = None
    max_tokens: int = 128  # longest answer
    json: bool = False
    fast: bool = False  # as fast as possible, losing nothing; else a recording is paced
    force: bool = False  # run even where memory will not do
    reconnect: bool | None = None  # when it goes away; None: as its kind has it
    wait: float = 0.0  # seconds for the camera to be there
    frames: Frames = "auto"
    compare_plain: bool = False  # decode each answer plainly as well, and report the speed-up
    mode: Mode = "rejection"  # how drafts are verified when the temperature is above 0
    offset: float | None = 0.0  # ms that events tell of a moment after frames; None: measured
    record: Path | None = None  # a new folder for events, frames and answers

    def __post_init__(self) -> None:
        self._check_ranges()
        self._check_combinations()

    def _check_ranges(self) -> None:
        if not self.camera:
            raise OptionError("--camera is empty; give a recording, a device, a FIFO or 'demo'")
        if not self.prompts or not all(prompt.strip() for prompt in self.prompts):
            raise OptionError("--prompt is empty; leave it out to ask for a description")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise OptionError(f"--temperature must be 0 (greedy) or above, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"--top-p must be above 0 and at most 1, not {self.top_p}")
        if self.top_k < 0:
            raise OptionError(f"--top-k must be 0 (all tokens) or above, not {self.top_k}")
        if self.seed < 0:
            raise OptionError(f"--seed must be 0 or above, not {self.seed}")
        if self.gamma is not None and self.gamma < 0:
            raise OptionError(f"--gamma must be 'auto', 0 or above, not {self.gamma}")
        if not (math.isfinite(self.wait) and self.wait >= 0):
            raise OptionError(f"--wait must be 0 or more seconds, not {self.wait}")
        if self.offset is not None and not abs(self.offset) <= FARTHEST_MS:
            raise OptionError(f"--offset must be 'auto' or up to {FARTHEST_MS:g} ms, either way")
        if self.max_clips is not None and self.max_clips < 1:
            raise OptionError(f"--max-clips must be 1 or above, not {self.max_clips}")
        if self.max_tokens < 1:
            raise OptionError(f"--max-tokens must be 1 or above, not {self.max_tokens}")
        for name, value, known in (
            ("--frames", self.frames, get_args(Frames)),
            ("--mode", self.mode, get_args(Mode)),
        ):
            if value not in known:
                raise OptionError(f"{name} must be {' or '.join(known)}, not {value!r}")

    def _check_combinations(self) -> None:
        if self.plain and self.compare_plain:
            raise OptionError("--plain drafts nothing, so --compare-plain has nothing to compare")
        if self.plain and self.gamma:
            raise OptionError("--plain drafts nothing; leave out --gamma, or leave out --plain")
        if self.video is not None and self.frames == "rendered":
            raise OptionError("--frames rendered and --video both say where frames come from")


def parse_offset(text: str) -> float | None:
    """Milliseconds, or None for 'auto'.

    Raises:
        OptionError: neither.
    """
    return _unless_auto("--offset", text, float, "milliseconds")


def parse_gamma(text: str) -> int | None:
    """A draft length, or None for 'auto'.

    Raises:
        OptionError: neither.
    """
    return _unless_auto("--gamma", text, int, "a number")


def _unless_auto(option: str, text: str, kind: Callable[[str], N], what: str) -> N | None:
    if text == "auto":
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise OptionError(f"{option} must be 'auto' or {what}, not {text!r}") from error
