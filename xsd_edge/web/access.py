"""Who may open the page: where it is served, the token, the Host and Origin of a request.

A page on loopback is still open to every page that the user visits: a foreign one may connect to it
(so Origin is checked), or give its own name our address (DNS rebinding, so Host is checked).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from xsd_edge.errors import XsdEdgeError

PORT: Final = 8350
COOKIE: Final = "xsd-edge"
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class WebError(XsdEdgeError):
    """The page cannot be served as asked."""

    exit_code = 2


class Address(NamedTuple):
    """Where to listen. `host` is a name or an IP address without brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """HOST:PORT, or either of them; [::1]:8350 for IPv6.

        Raises:
            WebError: it is something else.
        """
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/?#@\s]*)(?::(\d{1,5}))?", text)
        if match is None or int(match[2] or 0) > 65535:
            raise WebError(f"--web {text!r} is not HOST:PORT, like 127.0.0.1:{PORT}")
        return cls(match[1].strip("[]") or "127.0.0.1", PORT if match[2] is None else int(match[2]))

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def is_loopback(self) -> bool:
        """Can only this machine reach it? A name counts as what it resolves to.

        Raises:
            WebError: the name is not known.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise WebError(f"--web: no such host as {self.host!r}; give an IP address") from error
        return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server. Without a token everybody on this machine may look.

    Raises:
        WebError: the address is beyond loopback and there is no token.
    """

    address: Address
    token: str | None

    def __post_init__(self) -> None:
        if self.token is not None and not self.token.strip():
            raise WebError(
                "--token is empty; give a secret, like the output of: openssl rand -hex 16"
            )
        if self.token is None and not self.address.is_loopback():
            raise WebError(
                f"--web {self.address.host} can be reached by others; add --token SECRET, "
                "or serve on 127.0.0.1"
            )

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Why a request with these headers comes from a page that is not ours, if it does."""
        host = _hostname(headers.get("host", ""))
        if host is None or not self._is_ours(host):
            return "this server has another name"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
            return "another page may not ask"
        return None

    def admits(self, said: str | None, cookie: str | None) -> bool:
        """Does the request bring the token, in words or as the cookie that we gave for it?"""
        if self.token is None:
            return True
        brought = self._digest(said) if said is not None else (cookie or "")
        return hmac.compare_digest(_bytes(brought), _bytes(self.cookie))

    @property
    def cookie(self) -> str:
        """Stands for the token in a browser, without telling it."""
        return self._digest(self.token or "")

    def _digest(self, text: str) -> str:
        return hashlib.sha256(b"xsd-edge " + _bytes(text)).hexdigest()

    def _is_ours(self, host: str) -> bool:
        if host in LOOPBACK_NAMES or host == self.address.host.lower():
            return True
        if self.token is None:
            return False
        name = socket.gethostname().lower()  # reached from outside by any of its addresses or names
        return _is_ip(host) or host in {name, name.partition(".")[0], f"{name}.local"}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _hostname(header: str) -> str | None:
    """The name in a Host header, without its port; None where it makes no sense."""
    try:
        parts = urlsplit(f"//{header}")
        return parts.hostname if parts.netloc == header and "@" not in header else None
    except ValueError:
        return None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
