"""The user's own engines, loaded once, with one clip before them at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xsd_edge.bundle import Bundle
from xsd_edge.certify.clip import Clip
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.engine import DEFAULT_OPTIONS, Engine, EngineOptions, open_engine
from xsd_edge.runtime.hosted_head import cached
from xsd_edge.runtime.loop import Prefilled
from xsd_edge.runtime.session import Session, draft_vocabulary


class Bench:
    """A session whose engines, embedding and draft vocabulary are at hand, so that certify can put
    the real parts together in its own ways.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        self.bundle = bundle
        self.engines: dict[str, Engine] = {}
        self.session = Session(bundle, options, self._open)
        # A plain view of the mapped file: indexing numpy's memmap class costs ten times as much.
        path = bundle.named("embedding")
        self.embedding = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        self.draft_vocabulary = draft_vocabulary(bundle)
        self.memory: EventMemory = self.session.silence()
        self._shown: Clip | None = None

    def _open(self, bundle: Bundle, part: str, options: EngineOptions) -> Engine:
        self.engines[part] = open_engine(bundle, part, options)
        return self.engines[part]

    def draft_engine(self) -> Engine:
        """The draft head's network as the session's own draft head runs it."""
        part = self.bundle.part("draft_head")
        return cached(self.engines["draft_head"], part, self.draft_vocabulary)

    def show(self, clip: Clip) -> None:
        """Prefill the clip's frames and read its events, unless it is the one shown already."""
        if clip is self._shown:
            return
        session, last = self.session, len(clip.frames) - 1
        session.begin_clip()
        for number, frame in enumerate(clip.frames):
            session.add_frame(frame, hold=number == last)
        self.memory = session.read_events(clip.events, clip.geometry, clip.t0_us, clip.t1_us)
        self._shown = clip

    def ask(self, question: str, early: Sequence[int] = ()) -> Prefilled:
        """Put a question, with an early draft of its answer, about the clip shown."""
        return self.session.ask(question, early)
