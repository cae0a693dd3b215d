"""Headless Chromium for pages that we make: opens them, keeps what the browser complains of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome")


class Tabs:
    """Opens pages. `complaints` are console errors and warnings, exceptions and failed requests of
    all of them; a test that provokes some clears the list.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.complaints: list[str] = []

    def open(
        self,
        page: str | Path,
        *,
        width: int = 1280,
        height: int = 900,
        scheme: Literal["light", "dark"] = "light",
        offline: bool = False,
    ) -> Page:
        """Load a URL or a file; returns playwright's page when its `load` event has fired."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=offline
        )
        tab = context.new_page()
        tab.on("console", lambda said: self._heard(said.type, said.text))
        tab.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        tab.on("requestfailed", lambda asked: self.complaints.append(f"failed: {asked.url}"))
        tab.goto(page.resolve().as_uri() if isinstance(page, Path) else page)
        return tab

    def close(self) -> None:
        for context in self._browser.contexts:
            context.close()

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser; skips the test where there is none."""
    api = pytest.importorskip(
        "playwright.sync_api", reason='playwright is missing (pip install "xsd-edge[dev]")'
    )
    binary = next(filter(None, map(shutil.which, NAMES)), None)
    if binary is None:
        pytest.skip("Chromium is missing (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        # Its sandbox refuses to start as root; these pages are ours.
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
