"""`run --record`: writes events, frames and answers as they come; a full disk ends the recording,
never the run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, groupby
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final

import numpy as np

from xsd_edge import console
from xsd_edge.events.clip_folder import (
    CLIPS,
    DROPPED,
    RENDERED,
    RecordedClip,
    begin_folder,
    write_clip,
)
from xsd_edge.events.cutter import Slice
from xsd_edge.runtime.answer import Answer
from xsd_edge.runtime.options import OptionError, RunOptions
from xsd_edge.runtime.report import answer_fields
from xsd_edge.runtime.watch import Scene, Watcher
from xsd_edge.video.frames import Image

ANSWERS: Final = "answers.jsonl"
MOST_WAITING: Final = 8  # dropped clips on their way to the disk


class Recorder(Watcher):
    """Records into a new folder. A clip is on its way to the disk while it is being answered, and
    there before its answer counts as given. Clips that were dropped are kept apart, without frames.

    Raises:
        OptionError: the folder holds something, or cannot be made.
    """

    def __init__(self, folder: Path, asked: Mapping[str, object]) -> None:
        self._folder, self._asked = folder, asked
        self.clips = 0  # answered and recorded so far
        self._numbers = count()
        self._stopped = False
        self._slices: list[Slice] = []
        self._frames: list[Image] = []
        self._writer = ThreadPoolExecutor(1, "recorder")
        self._writing: Future[None] | None = None
        self._answers: int | None = None
        self._spare = BoundedSemaphore(MOST_WAITING)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            occupied = any(folder.iterdir())
        except OSError as error:
            raise OptionError(f"cannot record to {folder}: {error.strerror}") from error
        if occupied:
            raise OptionError(f"--record {folder} is not empty; give a new folder")

    def began(self, scene: Scene) -> None:
        self._scene = scene
        about = {
            "sensor": str(scene.geometry),
            "clip_us": scene.clip_us,
            "slices": scene.slices,
            "frames": scene.frames,
            "asked": self._asked,
        }
        try:
            begin_folder(self._folder, about)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._answers = os.open(self._folder / ANSWERS, flags, 0o644)
        except OSError as error:
            raise OptionError(f"cannot record to {self._folder}: {error.strerror}") from error

    def saw(self, slice_: Slice, frame: Image) -> None:
        if slice_.index == 0:
            self._slices, self._frames = [], []
        self._slices.append(slice_)
        if self._scene.frames != RENDERED:
            self._frames.append(frame.copy())
        if slice_.last and not self._stopped:
            self._writing = self._write(CLIPS, self._slices, self._frames)

    def dropped(self, slices: list[Slice]) -> None:
        """Whole clips that nobody answers. Called in the reading thread, which must not wait: where
        the disk is that far behind, they are not recorded either.
        """
        for _, clip in groupby(slices, key=lambda s: s.clip):
            if not self._stopped and self._spare.acquire(blocking=False):
                written = self._write(DROPPED, list(clip), [])
                written.add_done_callback(lambda _: self._spare.release())

    def answered(self, answer: Answer) -> None:
        if self._stopped or self._answers is None:
            return
        try:
            if self._writing is not None:
                self._writing.result()
                self._writing = None
                self.clips += 1
            _append(self._answers, json.dumps(answer_fields(answer), ensure_ascii=False) + "\n")
        except OSError as error:
            self._stopped = True
            console.say(
                f"Recording stopped after {self.clips} clips, the answers go on: "
                f"cannot write to {self._folder}: {error.strerror}."
            )

    def ended(self) -> None:
        self._writer.shutdown()
        if self._answers is not None:
            os.close(self._answers)
            self._answers = None

    def _write(self, kind: str, slices: list[Slice], frames: list[Image]) -> Future[None]:
        path = self._folder / kind / f"{next(self._numbers):08d}.npz"
        geometry = self._scene.geometry

        def write() -> None:  # stacking a second of frames takes milliseconds, too
            clip = RecordedClip(tuple(slices), np.stack(frames) if frames else None)
            write_clip(path, clip, geometry)

        return self._writer.submit(write)


def _append(file: int, line: str) -> None:
    """All of a line or nothing of it."""
    data, end = line.encode(), os.fstat(file).st_size
    try:
        while data:  # a full disk takes a part, and fails at the next try
            data = data[os.write(file, data) :]
    except OSError:
        os.ftruncate(file, end)
        raise


def asked(options: RunOptions) -> dict[str, object]:
    """What the answers of a run depend on, beside the clips."""
    manifest = (options.bundle / "bundle.json").read_bytes()
    return {
        "bundle": hashlib.sha256(manifest).hexdigest(),
        "prompts": list(options.prompts),
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "seed": options.seed,
        "mode": options.mode,
        "gamma": options.gamma,
        "plain": options.plain,
        "exact": options.exact,
        "max_tokens": options.max_tokens,
        "frames": options.frames,
    }
