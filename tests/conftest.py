"""What all tests share: the command as a real process, and which tests this machine can run."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.browser import Tabs, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
TINY_BUNDLE = ROOT / "tests" / "data" / "tiny-bundle"  # real parts, random weights
RECORDING = ROOT / "tests" / "data" / "eventcampy_test_events_1.evt3.raw"
HOST_FOLDERS = ["benchmarks", "export", "models", "training", "calibration"]
HAS_HOST = find_spec("torch") is not None

# On a device the host's test files cannot even be imported.
collect_ignore = [] if HAS_HOST else HOST_FOLDERS


def pytest_configure() -> None:
    # A background job of a shell script is born deaf to Ctrl-C, and so its children would be.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    return (
        []
        if HAS_HOST
        else ['host tests left out: torch is missing (pip install "xsd-edge[export]")']
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if not HAS_HOST and item.get_closest_marker("host"):
            item.add_marker(pytest.mark.skip(reason="torch is missing"))


Finished = subprocess.CompletedProcess[str]


class Python(Protocol):
    """Runs `python ARGUMENTS` with the package importable, in an empty directory."""

    def __call__(self, *arguments: str | Path, timeout: float = 60) -> Finished: ...


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """A real interpreter process."""

    def run(*arguments: str | Path, timeout: float = 60) -> Finished:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def command(python: Python) -> Python:
    """`xsd-edge ARGUMENTS` as a real process."""

    def run(*arguments: str | Path, timeout: float = 60) -> Finished:
        return python("-m", "xsd_edge", *arguments, timeout=timeout)

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Of a module, not of the session: while it runs, its event loop is the main
    thread's, and asyncio.run refuses to start another there.
    """
    with chromium() as running:
        yield running


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Opens pages in Chromium; the test fails when the browser complained of any."""
    opened = Tabs(browser)
    yield opened
    opened.close()
    assert opened.complaints == []


FAKES = ROOT / "tests" / "fakes"  # on the import path, they are `tensorrt` and `cuda`


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in for CUDA, fresh for each test; the one for TensorRT is importable beside it."""

    def forget() -> None:
        for name in list(sys.modules):
            if name.partition(".")[0] in ("tensorrt", "cuda"):
                del sys.modules[name]

    forget()
    monkeypatch.syspath_prepend(FAKES)
    yield importlib.import_module("cuda.bindings.runtime")
    forget()
