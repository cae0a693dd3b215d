"""What is certified: the loop with verifier, drafters and cache, whole or deliberately broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.drafter import Drafter
from xsd_edge.runtime.loop import Limits, Prefilled, Round, generate
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import Verifier, verifier_for


def unchanged_drafter(drafter: Drafter) -> Drafter:
    return drafter


def unchanged_decoder(decoder: Decoder) -> Decoder:
    return decoder


@dataclass(frozen=True, slots=True)
class Subject:
    """Changes nothing but what a breakage replaces; `generate` itself is always the product's."""

    name: str
    verifier: Callable[[Sampling, str, np.random.Generator], Verifier] = verifier_for
    drafter: Callable[[Drafter], Drafter] = unchanged_drafter
    decoder: Callable[[Decoder], Decoder] = unchanged_decoder

    def answer(
        self,
        decoder: Decoder,
        start: Prefilled,
        verifier: Verifier,
        sampling: Sampling,
        limits: Limits,
        drafter: Drafter,
        rng: np.random.Generator,
    ) -> Iterator[Round]:
        """The speculative answer's rounds."""
        return generate(
            self.decoder(decoder), start, verifier, sampling, limits, self.drafter(drafter), rng
        )


PRODUCT = Subject("xsd-edge")
