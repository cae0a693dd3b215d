"""xsd-edge's own answers to the prompts that its peers get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.peers_models import DRAFTED, ModelFolder
from benchmarks.peers_runtimes import Job
from xsd_edge.bundle import Bundle
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.loop import Limits, Prefilled, Round, generate
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.planner import FixedLength, Planned
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.speculation import machine_costs
from xsd_edge.runtime.verifier import GreedyVerifier
from xsd_edge.training.examination import watch
from xsd_edge.world.scenes import DESCRIBE, Scene
from xsd_edge.world.spec import World

NO_EVENTS = np.zeros((1, 0, 0), np.float32)


class TextAnswers:
    """The decoder alone. Its draft head belongs to the demo's target, so lookup is what drafts."""

    ways = ("plain", "prompt lookup")

    def __init__(self, folder: ModelFolder) -> None:
        # No end: every answer has the asked length.
        info = replace(folder.info, end_tokens=(), masked_tokens=())
        table = np.asarray(np.load(folder.table, mmap_mode="r", allow_pickle=False))
        self._decoder = Decoder(OnnxEngine(folder.graph), info, table)

    def rounds(self, job: Job) -> Iterator[Round]:
        decoder, drafter = self._decoder, None
        if job.way != "plain":
            lookup = Lookup()
            lookup.remember(job.tokens)
            drafter = FixedLength(lookup, DRAFTED)
            drafter.begin(EventMemory(NO_EVENTS, NO_EVENTS, NO_EVENTS, NO_EVENTS))
        decoder.trim(0)
        logits, hidden = decoder.prefill(decoder.embed(job.tokens))
        start = Prefilled(logits, hidden, tuple(job.tokens))
        limits = Limits(job.most)
        return generate(decoder, start, GreedyVerifier(), Sampling(), limits, drafter)


class ClipAnswers:
    """A whole session; all drafters that work behind a question, as `run` plans them."""

    ways = ("plain", "all drafters")

    def __init__(self, bundle: Path) -> None:
        opened = Bundle(bundle)
        self._session = session = Session(opened)
        self._world = World.of(opened)
        self._planned = Planned(
            session.draft_head, Lookup(), session.predictor, machine_costs(session)
        )

    def rounds(self, job: Job) -> Iterator[Round]:
        assert job.seed is not None
        scene = Scene.from_seed(job.seed, self._world)
        memory = watch(self._session, scene.frames(), scene.events())
        drafter = None if job.way == "plain" else self._planned
        self._planned.begin(memory)
        start = self._session.ask(DESCRIBE)
        limits = Limits(job.most)
        decoder = self._session.decoder
        return generate(decoder, start, GreedyVerifier(), Sampling(), limits, drafter)
