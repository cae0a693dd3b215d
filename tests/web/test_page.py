"""The page in a real browser, fed by a real run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import Tabs
from tests.conftest import RECORDING, ROOT, TINY_BUNDLE
from tests.runtime.told import frame_of, round_of, scene, slice_of, tell
from xsd_edge.runtime.costs import Costs
from xsd_edge.web.server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

for needed in ("starlette", "uvicorn", "websockets"):
    pytest.importorskip(needed, reason=f'{needed} is missing (pip install "xsd-edge[web]")')

ARGUMENTS = ("--bundle", TINY_BUNDLE, "--camera", RECORDING, "--max-tokens", "24")


@contextmanager
def running(*options: str | Path) -> Iterator[str]:
    """`xsd-edge run --web` until the block ends; its page's address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "xsd_edge", "run", *map(str, (*ARGUMENTS, *options))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+/", process.stderr.readline())
        assert found is not None
        yield found[0]
        assert process.wait(timeout=100) == 0
    finally:
        process.kill()
        process.communicate()


def count(page: Page, selector: str) -> int:
    return page.locator(selector).count()


def drawn(page: Page) -> int:
    """Pictures that the browser has decoded."""
    found = page.evaluate("[...document.images].filter((i) => i.naturalWidth > 0).length")
    assert isinstance(found, int)
    return found


@pytest.mark.slow
def test_a_run_from_first_slice_to_the_end(tabs: Tabs) -> None:
    with running("--web", "127.0.0.1:0") as url:
        page = tabs.open(url)
        page.wait_for_selector("#latest li", timeout=100_000)
        page.wait_for_selector("#state[data-state=ended]", timeout=100_000)
    assert page.inner_text("#sensor") == "640x480 pixels"
    assert re.fullmatch(r"\d+ %", page.inner_text("#acceptance"))
    assert page.inner_text("#answers") == "2"
    assert count(page, "#rounds .round") > 1
    assert count(page, "#stages tbody tr") > 5
    assert drawn(page) == 9
    assert page.get_attribute("#rates polyline", "points")


@pytest.mark.slow
def test_a_token_in_the_address_leaves_it(tabs: Tabs) -> None:
    with running("--web", "127.0.0.1:0", "--token", "s3cret", "--max-clips", "1", "--fast") as url:
        page = tabs.open(f"{url}?token=s3cret")
        assert page.url == url
        page.wait_for_selector("#state[data-state=ended]", timeout=100_000)


@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]
)
def test_every_width_and_scheme(
    tabs: Tabs, capsys: pytest.CaptureFixture[str], width: int, scheme: str
) -> None:
    """Nothing runs over the edge, text can be read, drafted text is told apart without colour."""
    with serving("127.0.0.1:0", None) as (feed,):
        feed.began(scene(Costs(0.1, (1.0, 1.2, 1.4, 1.6, 1.8), 0.1)))
        page = tabs.open(capsys.readouterr().err.split()[2], width=width, scheme=scheme)  # type: ignore[arg-type]  # one of the two
        long_word = "unbreakable" * 12
        tell(feed, 0, [round_of("A"), round_of(f" {long_word} car", gamma=5, accepted=3)])
        page.wait_for_selector("#latest li")
        page.wait_for_selector("#frames li:nth-child(8)")
        while drawn(page) < 9:
            page.wait_for_timeout(50)
        assert page.inner_text("#text") == f"A {long_word} car"
        assert page.inner_text("#text .drafted") == long_word[:2]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        style = "getComputedStyle(document.querySelector('#text .drafted')).textDecorationLine"
        assert page.evaluate(style) == "underline"
        assert page.evaluate(CONTRAST) >= 4.5
        assert page.inner_text("#speedup") == "62.27\N{MULTIPLICATION SIGN}"


def test_the_last_answer_stays_that_of_its_clip(
    tabs: Tabs, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the next clip is watched; and before the first there is none to wait for."""
    with serving("127.0.0.1:0", None) as (feed,):
        feed.began(scene())
        page = tabs.open(capsys.readouterr().err.split()[2])
        page.wait_for_selector("#state[data-state=watching]")
        assert page.inner_text("#answer-ms") == "\N{EN DASH}"
        tell(feed, 4, [round_of("A car")])
        slice_ = slice_of(5, 0)
        feed.saw(slice_, frame_of(slice_))
        page.wait_for_selector("#latest li")
        page.wait_for_selector("#state[data-state=watching]")
        assert page.inner_text("#clip") == "clip 4"
        assert page.inner_text("#answer-ms") == "100 ms"
        # Old answers do not push the frames out of sight.
        tops = "(id) => document.getElementById(id).getBoundingClientRect().top"
        assert page.evaluate(tops, "frames") < page.evaluate(tops, "latest")


# The least contrast of any visible text against what is behind it (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (at) => {
    const [r, g, b, a = 1] = rgb(getComputedStyle(at).backgroundColor);
    return a === 1 || !at.parentElement ? [r, g, b] : behind(at.parentElement);
  };
  const texts = [...document.querySelectorAll("body *")].filter((at) => at.checkVisibility()
    && [...at.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return Math.min(...texts.map((at) => {
    const [a, b] = [light(rgb(getComputedStyle(at).color)), light(behind(at))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}"""
