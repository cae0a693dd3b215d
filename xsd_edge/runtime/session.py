"""A loaded bundle: every engine, the tokenizer, and the state of the clip being looked at."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from xsd_edge.bundle import Bundle
from xsd_edge.errors import BundleError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.runtime.decoder import EXACT_ROWS, LOGIT_ROWS, Decoder
from xsd_edge.runtime.drafter import Drafter, DraftHead, EventMemory, NoHead
from xsd_edge.runtime.early import EarlyDrafter, Repeat
from xsd_edge.runtime.early_head import EarlyEngines, EarlyHead
from xsd_edge.runtime.engine import (
    DEFAULT_OPTIONS,
    Engine,
    EngineOptions,
    Opener,
    open_engine,
)
from xsd_edge.runtime.engine_store import identity
from xsd_edge.runtime.hosted_head import cached
from xsd_edge.runtime.loop import Prefilled
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.runtime.senses import Senses
from xsd_edge.runtime.stages import Stages
from xsd_edge.runtime.verifier import Proposal

MOST_DRAFTED = LOGIT_ROWS - 1  # tokens of an early draft; its pass returns logits for each


def draft_vocabulary(bundle: Bundle) -> NDArray[np.int64]:
    """The target's tokens that the draft heads can say, none where there is no head. [Vd]"""
    if not bundle.manifest.drafter.has_head:
        return np.zeros(0, np.int64)
    ids: NDArray[np.int64] = np.load(bundle.named("draft_vocabulary"), allow_pickle=False)
    return ids.astype(np.int64)


class Session:
    """One camera's conversation with the target.

    The prompt before the frames stays in the cache for ever, the frames stay while further
    questions about the same clip are asked; each frame is prefilled the moment it arrives.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: EngineOptions = DEFAULT_OPTIONS,
        opener: Opener = open_engine,
    ) -> None:
        manifest = bundle.manifest
        self.manifest, self.stages, self.folder = manifest, Stages(), bundle.folder
        # What measured costs belong to.
        has_head = manifest.drafter.has_head
        timed = ("target", "draft_head") if has_head else ("target",)
        self.engines = " ".join(identity(bundle, part) for part in timed)
        with ThreadPoolExecutor(1) as beside:  # the target takes as long to load as all the rest
            target = beside.submit(opener, bundle, "target", options)
            embedding = self._open_rest(bundle, options, opener)
        self.decoder = Decoder(target.result(), manifest.target, embedding, EXACT_ROWS)
        self._prompt = Prompt(self.tokenizer, manifest.prompt)
        self.decoder.prefill(self.decoder.embed(self._prompt.before))
        self._clip_start = self._question_start = self._answer_start = self.decoder.offset
        self._held = np.zeros((0, manifest.target.hidden), np.float32)

    def _open_rest(
        self, bundle: Bundle, options: EngineOptions, opener: Opener
    ) -> NDArray[np.float16]:
        """Everything but the target's language model; returns its embeddings. [V, D]"""
        manifest = bundle.manifest
        self.tokenizer = Tokenizer.from_file(str(bundle.named("tokenizer")))
        # A plain view of the mapped file: indexing numpy's memmap class costs ten times as much.
        mapped = np.load(bundle.named("embedding"), mmap_mode="r", allow_pickle=False)
        embedding = np.asarray(mapped)
        if embedding.shape != (manifest.target.vocabulary, manifest.target.hidden):
            raise BundleError(f"embedding has shape {embedding.shape}; export the bundle again")
        vocabulary = draft_vocabulary(bundle)

        small = options._replace(threads=1)  # a network of a few megabytes loses by being split
        self.senses = Senses(bundle, options, small, opener)
        self.draft_head: Drafter = NoHead()
        self.predictor: Engine | None = None  # of what becomes of the draft head's drafts
        if manifest.drafter.has_head:
            self.predictor = opener(bundle, "acceptance_predictor", small)
            head = opener(bundle, "draft_head", small)
            head = cached(head, bundle.part("draft_head"), vocabulary)
            self.draft_head = DraftHead(head, manifest.drafter, embedding, vocabulary)
        self.early: EarlyDrafter = Repeat()
        if manifest.drafter.early_context:
            engines = EarlyEngines(
                opener(bundle, "early_memory", small),
                opener(bundle, "early_head", small),
                bundle.part("early_memory").inputs,
                bundle.part("early_memory").outputs,
            )
            self.early = EarlyHead(
                engines,
                manifest.drafter.early_context,
                embedding,
                vocabulary,
                manifest.target.end_tokens,
            )
        return embedding

    def begin_clip(self) -> None:
        """Forget the last clip."""
        self.decoder.trim(self._clip_start)
        self._question_start = self._clip_start
        self._held = self._held[:0]

    def add_frame(self, frame: NDArray[np.uint8], hold: bool = False) -> None:
        """See one RGB frame [H, W, 3]: `add_visual` with what the senses make of it."""
        self.add_visual(self.senses.look(frame), hold)
        self.stages.absorb(self.senses.stages)

    def add_visual(self, visual: NDArray[np.float32], hold: bool = False) -> None:
        """A frame's visual tokens [T, D] into the cache.

        Frames that are held (the clip's last) wait for the next frame or question to share its
        pass.
        """
        self._held = np.concatenate([self._held, visual])
        if hold:
            return
        with self.stages.time("prefill"):
            self.decoder.prefill(self._held)
        self._held = self._held[:0]
        self._question_start = self.decoder.offset

    def read_events(
        self, events: EventPacket, geometry: Geometry, t0_us: int, t1_us: int
    ) -> EventMemory:
        """What the drafter knows of a clip from its events."""
        memory = self.senses.read_events(events, geometry, t0_us, t1_us)
        self.stages.absorb(self.senses.stages)
        return memory

    def ask(self, question: str, draft: Sequence[int] = ()) -> Prefilled:
        """Put a question behind the clip's frames; the next `generate` answers it.

        A draft of the answer rides in the same pass and is judged in the first round; of one that
        does not fit, what fits.
        """
        self.decoder.trim(self._question_start)
        with self.stages.time("question"):
            ids = self.question_tokens(question)
            held, decoder = self._held, self.decoder
            room = decoder.room - len(held) - len(ids) - 1
            proposal = Proposal(tuple(draft[: max(0, min(room, MOST_DRAFTED))]))
            words = decoder.embed((*ids, *proposal.tokens))
            asked, drafted = len(ids), len(proposal.tokens)
            logits, hidden = decoder.prefill(np.concatenate([held, words]), last=1 + drafted)
        self._question_start += len(held)
        self._answer_start = self._question_start + asked
        self._held = held[:0]
        known = min(len(hidden), asked + drafted)
        return Prefilled(logits, hidden[-known:], tuple(ids[-(known - drafted) :]), proposal)

    def question_tokens(self, question: str) -> list[int]:
        """What the target reads of a question, the prompt's words around it included."""
        return self._prompt.asked(question)

    def rewind(self) -> None:
        """Back to the end of the last question, to answer it once more."""
        self.decoder.trim(self._answer_start)

    def silence(self) -> EventMemory:
        """The memory of a clip in which nothing happened."""
        return self.read_events(EventPacket.empty(), Geometry(64, 64), 0, 1)

    def text(self, tokens: list[int]) -> str:
        """What tokens say, without the end token."""
        with self.stages.time("detokenize"):
            return str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
