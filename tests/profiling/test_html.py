"""The report in a real browser: it draws, offline, in both schemes and on a phone, complaining of
nothing.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.browser import Tabs
from tests.profiling.conftest import CLIPS
from xsd_edge.profiling import html
from xsd_edge.profiling.document import Document, Measured

if TYPE_CHECKING:
    from playwright.sync_api import Page

PHONE, DESK = 360, 1280
CHARTS = ("speedup", "costs", "timeline", "stages", "acceptance", "histogram", "gamma")


@pytest.fixture
def report(tmp_path: Path, document: Document, seen: Measured) -> Path:
    path = tmp_path / "report.html"
    html.write(path, document, seen)
    return path


def drawn(tabs: Tabs, report: Path, width: int, scheme: Literal["light", "dark"] = "light") -> Page:
    page = tabs.open(report, width=width, scheme=scheme, offline=True)
    page.wait_for_selector("body[data-drawn=yes]", timeout=60_000)
    return page


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_charts_draw(
    tabs: Tabs, report: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = drawn(tabs, report, width, scheme)
    for chart in CHARTS:
        picture = page.locator(f"#{chart} svg[role=img]")
        assert picture.count() == 1, chart
        box = picture.bounding_box()
        assert box is not None
        assert box["width"] > 200, chart
        assert box["height"] > 40, chart
        assert picture.get_attribute("aria-label")
        marks = picture.locator(".bar, .mark, .span, .area")
        assert marks.count() > 0, chart
        widths = marks.evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
        assert max(widths) > 2, chart
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "NaN" not in page.content()
    assert "undefined" not in page.locator("main").inner_text()


def test_words_and_figures(tabs: Tabs, report: Path, document: Document) -> None:
    page = drawn(tabs, report, DESK)
    verdict = document["verdict"]["text"]
    assert page.inner_text("#verdict").lower() == f"{verdict}.".lower()
    assert "NVIDIA Jetson Orin Nano" in page.inner_text("#subject")
    assert "15W" in page.inner_text("#machine")
    sensors = page.inner_text("#sensors")
    assert "VDD_IN" in sensors
    joules = document["power"]["drafted"]["energy_per_answer_j"]
    assert f"{joules:.3f} J" in sensors
    assert f"{document['gpu_load']:.0%}".replace("%", " %") in sensors
    decode = document["speedup"]["decode"]["measured"]["value"]
    assert f"{decode:.2f}\u00d7" in page.inner_text("#tiles")


def test_text_of_the_user_cannot_break_out(tabs: Tabs, report: Path) -> None:
    page = drawn(tabs, report, DESK)
    assert page.title().startswith("xsd-edge profile")
    assert "broken out" in page.inner_text("#machine")  # the question, as text


def test_schemes_differ_and_are_legible(tabs: Tabs, report: Path) -> None:
    contrasts = []
    for scheme in ("light", "dark"):
        page = drawn(tabs, report, DESK, scheme)
        contrasts.append(page.evaluate(CONTRAST))
    assert all(found >= 4.5 for each in contrasts for found in each)  # WCAG 2, level AA
    assert contrasts[0] != contrasts[1]


CONTRAST = """() => {
  const luminance = (colour) => {
    const parts = colour.match(/[0-9.]+/g).slice(0, 3).map((each) => each / 255);
    const [r, g, b] = parts.map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const style = (selector) => getComputedStyle(document.querySelector(selector));
  const card = style("figure").backgroundColor, page = style(":root").backgroundColor;
  return [
    ratio(style("h2").color, card), ratio(style("figcaption").color, card),
    ratio(style("#verdict").color, page), ratio(style("svg text").fill, card),
  ];
}"""


def test_another_clip_can_be_chosen_and_a_bar_read(tabs: Tabs, report: Path) -> None:
    page = drawn(tabs, report, DESK)
    assert page.locator("#clip option").count() == CLIPS
    before = page.locator("#timeline svg").get_attribute("aria-label")
    page.select_option("#clip", index=1)
    assert page.locator("#timeline svg").get_attribute("aria-label") != before
    page.locator("#timeline .span").first.click()
    assert " ms, at " in page.inner_text("#span")


def test_charts_follow_the_window(tabs: Tabs, report: Path) -> None:
    page = drawn(tabs, report, DESK)
    page.set_viewport_size({"width": PHONE, "height": 700})
    # The page's own rules forbid eval, which waiting for a string would need.
    page.wait_for_function("() => document.querySelector('#gamma svg').viewBox.baseVal.width < 360")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


def test_without_sensors_and_drafts(tabs: Tabs, document: Document, tmp_path: Path) -> None:
    """What is null or empty in a profile shows as a dash or a sentence."""
    bare = copy.deepcopy(document)
    bare["power"] |= {"rails_w": {}, "mean_w": None, "max_w": None}
    bare["power"]["drafted"] = bare["power"]["plain"] = dict.fromkeys(bare["power"]["plain"])
    bare |= {"temperatures_c": {}, "clocks_mhz": {}, "gpu_load": None, "rounds": []}
    bare["acceptance"] |= {"alpha": None, "by_position": [], "tokens_per_round": None}
    bare["speedup"]["decode"] = {"measured": None, "predicted": None}
    clip = {
        "clip": 0,
        "text": "",
        "arms": [{"name": "drafted", "ms": 1, "end": 0, "spans": [[1, "verify", 0, 1]]}],
    }
    path = tmp_path / "bare.html"
    path.write_text(html.page(bare, [clip]), encoding="utf-8")
    page = drawn(tabs, path, PHONE)
    assert "Nothing was drafted" in page.inner_text("#acceptance")
    assert "no power sensor" in page.inner_text("#tiles")
    assert "NaN" not in page.content()


def test_it_needs_nothing_else(report: Path) -> None:
    text = report.read_text()
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in text
