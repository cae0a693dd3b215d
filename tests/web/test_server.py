"""The page's server, as browsers and others meet it: real sockets, a run that a test makes up."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.runtime.told import frame_of, round_of, scene, slice_of, tell
from xsd_edge.runtime.watch import Watcher
from xsd_edge.web.access import WebError
from xsd_edge.web.server import MOST_PAGES, serving

MISSING = 'the web extra is missing (pip install "xsd-edge[web]")'
pytest.importorskip("starlette", reason=MISSING)
pytest.importorskip("uvicorn", reason=MISSING)
client = pytest.importorskip("websockets.sync.client", reason=MISSING)
failures = pytest.importorskip("websockets.exceptions", reason=MISSING)


class Served:
    """A server on loopback, and who feeds it."""

    def __init__(self, feed: Watcher, url: str) -> None:
        self.feed = feed
        self.host = urlsplit(url).netloc

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.host, timeout=20)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response

    def live(self, query: str = "", **options: Any) -> Any:
        return client.connect(f"ws://{self.host}/live{query}", open_timeout=20, **options)


Serve = Callable[[str | None], Served]


@pytest.fixture
def serve(capsys: pytest.CaptureFixture[str]) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(token: str | None = None) -> Served:
            (feed,) = stack.enter_context(serving("127.0.0.1:0", token))
            return Served(feed, capsys.readouterr().err.split()[2].partition("?")[0])

        yield start


def figures(page: Any) -> dict[str, Any]:
    """The next figures; pictures before them are acknowledged too."""
    while True:
        message = page.recv(timeout=20)
        page.send("drawn")
        if isinstance(message, str):
            found: dict[str, Any] = json.loads(message)
            return found


def test_the_files_may_run_nothing_but_ours(serve: Serve) -> None:
    served = serve(None)
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "javascript")):
        response = served.get(path)
        assert response.status == 200
        assert kind in response.headers["Content-Type"]
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert served.get("/../server.py").status == 404


def test_a_foreign_name_or_page_is_refused(serve: Serve) -> None:
    served = serve(None)
    assert served.get("/", Host="evil.example").status == 403
    assert served.get("/", Origin="http://evil.example").status == 403
    with pytest.raises(failures.InvalidStatus), served.live(origin="http://evil.example"):
        pass
    with served.live(origin=f"http://{served.host}") as page:
        assert figures(page)["state"] == "loading"


def test_the_token_opens_page_and_socket(serve: Serve) -> None:
    served = serve("s3cret")
    for path in ("/", "/page.js", "/?token=wrong"):
        assert served.get(path).status == 401
    opened = served.get("/?token=s3cret")
    assert opened.status == 200
    cookie = opened.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "s3cret" not in cookie
    pair = cookie.partition(";")[0]
    assert served.get("/page.js", Cookie=pair).status == 200
    assert served.get("/", Authorization="Bearer s3cret").status == 200
    for wrong in ("", "?token=wrong"):
        with pytest.raises(failures.InvalidStatus), served.live(wrong):
            pass
    with served.live(additional_headers={"Cookie": pair}) as page:
        assert figures(page)["state"] == "loading"


def test_what_a_page_gets(serve: Serve) -> None:
    served = serve(None)
    served.feed.began(scene())
    tell(served.feed, 4, [round_of("A c"), round_of("at.", gamma=4, accepted=2)])
    with served.live() as page:
        now = json.loads(page.recv(timeout=20))
        pictures: dict[str, bytes] = {}
        page.send("drawn")
        while len(pictures) < 9:
            message = page.recv(timeout=20)
            page.send("drawn")
            assert isinstance(message, bytes)
            pictures[message[:2].decode().strip()] = message[2:]
    assert (now["clip"], now["seen"], now["about"], now["question"]) == (4, 8, 4, "What?")
    assert [(p["text"], p["drafted"]) for p in now["pieces"]] == [
        ("A c", False),
        ("at", True),
        (".", False),
    ]
    assert now["rounds"] == [{"gamma": 0, "accepted": 0}, {"gamma": 4, "accepted": 2}]
    assert [answer["text"] for answer in now["latest"]] == ["A cat."]
    assert pictures.pop("e").startswith(b"\x89PNG")
    assert set(pictures) == set("01234567")
    assert all(picture.startswith(b"\xff\xd8") for picture in pictures.values())


def test_a_slow_page_gets_the_newest_and_holds_nobody_up(serve: Serve) -> None:
    """It acknowledges nothing while five hundred clips go by: one message waits, not thousands."""
    served = serve(None)
    served.feed.began(scene())
    with served.live() as page:
        first = json.loads(page.recv(timeout=20))
        for clip in range(500):
            slice_ = slice_of(clip, 0)
            served.feed.saw(slice_, frame_of(slice_))
            served.feed.asked(clip, "What?")
            served.feed.spoke(round_of(f"answer {clip}"))
        page.send("drawn")
        seen: list[str] = []
        while not seen or "answer 499" not in seen[-1]:
            seen.append("".join(p["text"] for p in figures(page)["pieces"]))
    assert first["question"] == ""
    assert len(seen) <= 2


def test_the_end_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as run:
        (feed,) = run.enter_context(serving("127.0.0.1:0", None))
        served = Served(feed, capsys.readouterr().err.split()[2])
        with served.live() as page:
            assert figures(page)["state"] == "loading"
            ending = threading.Thread(target=run.close)
            ending.start()
            assert figures(page)["state"] == "ended"
            with pytest.raises(failures.ConnectionClosed):
                figures(page)
            ending.join()


def test_so_many_pages_and_no_more(serve: Serve) -> None:
    served = serve(None)
    with ExitStack() as stack:
        for _ in range(MOST_PAGES):
            figures(stack.enter_context(served.live()))
        with pytest.raises(failures.InvalidStatus), served.live():
            pass


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WebError, match="in use"), serving(f"127.0.0.1:{port}", None):
            pass


def test_without_the_option_there_is_no_page() -> None:
    with serving(None, "s3cret") as nobody:
        assert nobody == ()
