"""A bundle's target and draft head with the vocabulary cut down to some tokens, from where the real
decoder stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xsd_edge.certify.bench import Bench
from xsd_edge.certify.remembered import RememberedHead, RememberedTarget
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.drafter import Drafter, DraftHead, NoHead
from xsd_edge.runtime.sampling import mask, runs_of


class Cut:
    """The product's own decoder and draft head on remembered networks.

    Tokens are numbered anew, by their place in `tokens`. Their logits and embeddings are the real
    ones, so this is a target as good as the whole one, and judging a draft takes microseconds.
    """

    def __init__(self, bench: Bench, kept: Sequence[NDArray[np.int64] | Sequence[int]]) -> None:
        manifest, real = bench.session.manifest, bench.session.decoder
        info = manifest.target
        ends = np.array(info.end_tokens, np.int64)
        parts = [np.asarray(part, np.int64) for part in (*kept, bench.draft_vocabulary, ends)]
        self.tokens = np.unique(np.concatenate(parts))  # [S], rising
        embedding = bench.embedding[self.tokens]
        self.target = RememberedTarget(real, self.tokens)
        masked = np.intersect1d(self.tokens, np.array(info.masked_tokens, np.int64))
        cut_down = replace(
            info,
            vocabulary=len(self.tokens),
            context=real.room,
            end_tokens=self.indices(ends),
            masked_tokens=self.indices(masked),
        )
        self.decoder = Decoder(self.target, cut_down, embedding)
        self._masked = runs_of(cut_down.masked_tokens)
        self.head: Drafter = NoHead()
        if manifest.drafter.has_head:
            head = RememberedHead(bench.draft_engine(), bench.embedding, self.tokens)
            vocabulary = np.array(self.indices(bench.draft_vocabulary), np.int64)
            self.head = DraftHead(head, manifest.drafter, embedding, vocabulary)

    def indices(self, tokens: Sequence[int] | NDArray[np.int64]) -> tuple[int, ...]:
        """The numbers that tokens have here; they must be among those kept."""
        wanted = np.asarray(tokens, np.int64)
        assert np.isin(wanted, self.tokens).all(), "a token that was not kept"
        return tuple(int(index) for index in np.searchsorted(self.tokens, wanted))

    def rows(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The kept part of the whole target's logits. [k, V] -> [k, S]"""
        part = logits[:, self.tokens]
        mask(part, self._masked)
        return part

    def behind(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Logits of a plain pass over some tokens behind the start; of the last one. [1, S]"""
        self.decoder.trim(0)
        logits = self.decoder.forward(self.decoder.embed(tokens), last=1).logits
        mask(logits, self._masked)
        return logits
