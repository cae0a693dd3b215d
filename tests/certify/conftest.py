"""The tiny bundle's engines, loaded once for all tests of certify."""

from __future__ import annotations

import pytest

from tests.conftest import TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.certify.bench import Bench
from xsd_edge.certify.clips import clips_for
from xsd_edge.certify.prompts import Prompt, prompts_of


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench(Bundle(TINY_BUNDLE))


@pytest.fixture(scope="session")
def prompts(bench: Bench) -> list[Prompt]:
    """Two questions about the bundle's own clip, two about a synthetic one."""
    clips = clips_for(bench.bundle, (), 0, 2)
    return prompts_of(clips, ("Describe the scene.", "What is moving?"), 4)
