"""The browser fixture hears what it must hear."""

from __future__ import annotations

from pathlib import Path

from tests.browser import Tabs


def test_complaints_are_heard(tabs: Tabs, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<p>shown</p><script>console.error('said'); fetch('http://localhost:9/').catch(() => 0);"
        "throw new Error('thrown')</script>"
    )
    shown = tabs.open(page, width=360, scheme="dark", offline=True)
    assert shown.inner_text("p") == "shown"
    assert shown.evaluate("innerWidth") == 360
    assert shown.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    shown.wait_for_timeout(200)
    heard = " ".join(tabs.complaints)
    assert "said" in heard
    assert "thrown" in heard
    assert "localhost:9" in heard
    tabs.complaints.clear()
