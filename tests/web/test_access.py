"""Who may open the page."""

from __future__ import annotations

import socket

import pytest

from xsd_edge.web.access import Access, Address, WebError

LOCAL = Access(Address("127.0.0.1", 8350), None)
OPEN = Access(Address("0.0.0.0", 8350), "s3cret")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8350", ("127.0.0.1", 8350)),
        ("localhost", ("localhost", 8350)),
        (":9000", ("127.0.0.1", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["a:b", "1.2.3.4:99999", "http://here:80", "::1", "a b:80", "x:"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(WebError, match="HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert Access(Address(host, 8350), None).admits(None, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_beyond_loopback_needs_a_token(host: str) -> None:
    with pytest.raises(WebError, match="--token"):
        Access(Address(host, 8350), None)
    Access(Address(host, 8350), "s3cret")


def test_an_empty_token_is_none() -> None:
    with pytest.raises(WebError, match="--token is empty"):
        Access(Address("127.0.0.1", 8350), " ")


def test_the_token_in_words_or_as_its_cookie() -> None:
    assert OPEN.admits("s3cret", None)
    assert OPEN.admits(None, OPEN.cookie)
    assert not OPEN.admits(None, None)
    assert not OPEN.admits("s3cre", None)
    assert not OPEN.admits("s3cret ", None)
    assert not OPEN.admits(OPEN.cookie, None)
    assert not OPEN.admits("wrong", OPEN.cookie)
    assert not OPEN.admits(None, "\udc80")
    assert "s3cret" not in OPEN.cookie


@pytest.mark.parametrize("host", ["127.0.0.1:8350", "localhost:8350", "localhost", "[::1]:1234"])
def test_our_names(host: str) -> None:
    assert LOCAL.refusal({"host": host}) is None
    assert LOCAL.refusal({"host": host, "origin": f"http://{host}"}) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example:8350", "127.0.0.1.evil.example", "192.0.2.7:8350", "", "x@localhost", "[::1"],
)
def test_dns_rebinding_is_refused(host: str) -> None:
    """A foreign name that leads here is still a foreign name."""
    assert LOCAL.refusal({"host": host}) is not None


def test_from_outside_by_address_or_by_our_own_name_only() -> None:
    ours = socket.gethostname()
    for host in ("192.0.2.7:8350", "[2001:db8::7]:8350", ours, f"{ours}.local:8350", "localhost"):
        assert OPEN.refusal({"host": host}) is None
    assert OPEN.refusal({"host": "evil.example:8350"}) is not None


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:1", "null", ""])
def test_another_pages_requests_are_refused(origin: str) -> None:
    assert LOCAL.refusal({"host": "localhost:8350", "origin": origin}) is not None
