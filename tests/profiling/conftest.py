"""One real profile of the tiny bundle, on a machine whose sensors are an Orin's."""

from __future__ import annotations

import pytest

from tests.conftest import TINY_BUNDLE
from tests.profiling import boards
from xsd_edge.profiling.document import Document, Measured, build
from xsd_edge.profiling.measure import measure
from xsd_edge.profiling.options import ProfileOptions
from xsd_edge.runtime.options import RunOptions

CLIPS = 3
QUESTIONS = ("What moves?", "</script><script>document.title = 'broken out'</script>")


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    root = boards.orin_nano_jetpack6(tmp_path_factory.mktemp("orin"))
    run = RunOptions(TINY_BUNDLE, "demo", prompts=QUESTIONS, gamma=3, max_tokens=16)
    return measure(ProfileOptions(run, CLIPS, root), lambda done, wanted: None)


@pytest.fixture(scope="session")
def document(seen: Measured) -> Document:
    return build(seen)
