"""Every broken loop is found on the tiny bundle, and the product is not."""

from __future__ import annotations

import pytest

from tests.conftest import TINY_BUNDLE
from xsd_edge.certify import g_test
from xsd_edge.certify import self_test as itself
from xsd_edge.certify.bench import Bench
from xsd_edge.certify.broken import BROKEN
from xsd_edge.certify.options import CertifyOptions
from xsd_edge.certify.self_test import self_test
from xsd_edge.certify.subject import PRODUCT
from xsd_edge.console import Steps

NAMES = (
    "accept always",
    "residual from p instead of p - q",
    "q taken before top-p",
    "a dropped draft",
    "off-by-one bonus token",
    "KV not trimmed",
)


def test_these_are_the_breakages() -> None:
    assert tuple(subject.name for subject in BROKEN) == NAMES


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clip, few contexts, and tests that find a distance of 0.03: half of the draws."""
    monkeypatch.setattr(itself, "CLIPS", 1)
    monkeypatch.setattr(itself, "MOST_CONTEXTS", 4)
    monkeypatch.setattr(g_test, "DISTANCE", 0.03)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_every_broken_loop_is_found(bench: Bench) -> None:
    cases = self_test(bench, CertifyOptions(TINY_BUNDLE, max_tokens=12), Steps())
    assert [(case.name, case.right) for case in cases] == [
        (name, True) for name in (PRODUCT.name, *NAMES)
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_breakage_that_hides_fails_the_self_test(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The product under another name stands for what no check would find."""
    monkeypatch.setattr(itself, "BROKEN", (type(PRODUCT)("hidden"),))
    cases = self_test(bench, CertifyOptions(TINY_BUNDLE, max_tokens=8), Steps())
    assert [case.right for case in cases] == [True, False]
