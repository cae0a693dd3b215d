"""Serves the page of a run from a thread of its own: one document, its two files, one WebSocket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Final

from xsd_edge import console
from xsd_edge.errors import ExtraMissingError
from xsd_edge.runtime.figures import Figures
from xsd_edge.runtime.watch import Watcher
from xsd_edge.web.access import COOKIE, Access, Address, WebError
from xsd_edge.web.feed import Drawing, Feed

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send
    from starlette.websockets import WebSocket

FILES: Final = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PAUSE_S: Final = 0.05  # between looks at the feed, when there was nothing new
FAREWELL_S: Final = 0.5  # for open pages to hear that the run has ended
MOST_PAGES: Final = 16
REFUSED, BUSY = 1008, 1013  # WebSocket close codes: policy violation, try again later


@contextmanager
def serving(web: str | None, token: str | None) -> Iterator[Sequence[Watcher]]:
    """Serve a page while the block runs; the listener that feeds it, or none without `web`.

    Raises:
        WebError: the address makes no sense, is taken, or is open to others without a token.
        ExtraMissingError: the web extra is not installed.
    """
    if web is None:
        yield ()
        return
    access = Access(Address.parse(web), token)
    feed = Feed()
    with _listening(access.address) as listener, _running(feed, access, listener):
        url = access.address._replace(port=listener.getsockname()[1]).url
        console.say(f"Live page: {url}" + ("?token=... (your --token)" if token else ""))
        yield (feed,)


@contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server(address, family=family)
    except OSError as error:
        raise WebError(f"cannot serve on {address.url}: {error.strerror}; give another") from error
    with listener:
        yield listener


@contextmanager
def _running(feed: Feed, access: Access, listener: socket.socket) -> Iterator[None]:
    pages = Pages(feed)
    try:
        import uvicorn

        app = application(pages, access)
    except ModuleNotFoundError as error:
        raise ExtraMissingError(f"--web ({error.name} is not installed)", "web") from error
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    sockets = {"sockets": [listener]}
    thread = threading.Thread(target=server.run, kwargs=sockets, name="web", daemon=True)
    thread.start()
    try:
        yield
    finally:
        feed.ended()
        patience = time.monotonic() + FAREWELL_S
        while pages.open and time.monotonic() < patience:
            time.sleep(PAUSE_S)
        server.should_exit = True
        thread.join()


def application(pages: Pages, access: Access) -> Starlette:
    """The page, guarded."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Route, WebSocketRoute

    files = [Route(path, Files(access).serve) for path in FILES]
    live = WebSocketRoute("/live", pages.serve)
    return Starlette(routes=[*files, live], middleware=[Middleware(Guard, access=access)])


class Files:
    """The page's files. Who brought the token gets a cookie that stands for it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def serve(self, request: Request) -> Response:
        from starlette.responses import Response

        name = FILES[request.url.path]
        data = (resources.files("xsd_edge.web") / "static" / name).read_bytes()
        response = Response(data, media_type=TYPES[name.rpartition(".")[2]], headers=HEADERS)
        if "token" in request.query_params:
            value = self._access.cookie
            response.set_cookie(COOKIE, value, httponly=True, samesite="strict")
        return response


class Guard:
    """Lets nobody through who may not look, at the page or at its WebSocket."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import HTTPConnection

        refusal = self._refusal(HTTPConnection(scope))
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, asked: HTTPConnection) -> ASGIApp | None:
        from starlette.responses import PlainTextResponse
        from starlette.websockets import WebSocketClose

        reason = self._access.refusal(asked.headers)
        token = asked.query_params.get("token") or _bearer(asked.headers.get("authorization", ""))
        admitted = self._access.admits(token, asked.cookies.get(COOKIE))
        if asked.scope["type"] == "websocket":
            return WebSocketClose(REFUSED) if reason or not admitted else None
        if reason:
            return PlainTextResponse(f"Refused: {reason}.\n", 403, HEADERS)
        if not admitted:
            hint = "Refused: open this page with ?token=SECRET, the --token of the run.\n"
            return PlainTextResponse(hint, 401, HEADERS)
        return None


def _bearer(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class Pages:
    """Open pages. Each acknowledges what it got before more is sent: a slow one misses what was in
    between, and only ever makes itself wait.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.open = 0

    async def serve(self, page: WebSocket) -> None:
        from starlette.websockets import WebSocketDisconnect

        if self.open >= MOST_PAGES:
            await page.close(BUSY)
            return
        self.open += 1
        try:
            await page.accept()
            async for message in self._news():
                if isinstance(message, str):
                    await page.send_text(message)
                else:
                    await page.send_bytes(message)
                await page.receive_text()
            await page.close()
        except WebSocketDisconnect:
            pass
        finally:
            self.open -= 1

    async def _news(self) -> AsyncIterator[str | bytes]:
        """Figures as JSON; pictures behind two letters that tell which. Ends with the run."""
        shown: Figures | None = None
        sent: dict[str, Drawing] = {}  # in the order of sending
        while True:
            figures, pictures = self._feed.figures, self._feed.pictures.copy()
            if figures is not shown:
                shown = figures
                yield self._feed.message(figures)
            fresh = [key for key in pictures if sent.get(key) is not pictures[key]]
            if fresh:
                key = min(fresh, key=lambda key: list(sent).index(key) if key in sent else -1)
                sent.pop(key, None)
                sent[key] = pictures[key]
                yield f"{key:2}".encode() + await asyncio.to_thread(pictures[key].data)
            elif figures.state == "ended":
                return
            await asyncio.sleep(PAUSE_S)
