"""Requests hidden in others, sent raw to a gateway and through NGINX before it."""

import contextlib
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.nginx import NginxFront, running_site

# Each hides a request for /ping, which answers `pong`.
HIDDEN = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
ORIGINAL = {
    "X-Original-URL": "http://localhost/",
    "X-Original-Host": "localhost",
    "X-Original-Method": "GET",
}
_QUIET = 1.0  # seconds
_OPEN = b"Content-Length: 0\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LENGTH = b"Content-Length: %d\r\n"
_END = b"\r\n0\r\n\r\n"
SHAPES: dict[str, bytes] = {
    "both lengths": _LENGTH + _CHUNKED + _END,
    "both lengths, chunked first": _CHUNKED + _LENGTH + _END,
    "two lengths": _LENGTH + b"Content-Length: 0\r\n\r\n",
    "two lengths in one": b"Content-Length: %d, 0\r\n\r\n",
    "a signed length": b"Content-Length: +%d\r\n\r\n",
    "a negative length": b"Content-Length: -%d\r\n\r\n",
    "a hexadecimal length": b"Content-Length: 0x%d\r\n\r\n",
    "space before the colon": b"Content-Length : %d\r\n\r\n",
    "a folded line": b"X: a\r\n " + _LENGTH + b"Transfer-Encoding:\r\n chunked\r\n" + _END,
    "another coding": _LENGTH + b"Transfer-Encoding: xchunked\r\n" + _END,
    "two codings": _LENGTH + b"Transfer-Encoding: chunked, identity\r\n" + _END,
    "a coding twice": _LENGTH + _CHUNKED + b"Transfer-Encoding: x\r\n" + _END,
    "a tab in the coding": _LENGTH + b"Transfer-Encoding:\tchunked\x0b\r\n" + _END,
    "a chunk that is too long": _CHUNKED + b"\r\n%x;\r\n",
    "a chunk of bare lines": b"Transfer-Encoding: chunked\n\n0\n\n",
    "a bare line feed": b"X: a\n" + _LENGTH + b"\r\n",
    "a bare return": b"X: a\r" + _LENGTH + b"\r\n",
    "NUL in a name": b"Content\x00-Length: %d\r\n\r\n",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxFront]:
    yield from running_site(tmp_path_factory.mktemp("smuggling"))


def answers(port: int, shapes: dict[str, bytes]) -> dict[str, bytes]:
    """Everything that comes back to each of them, until nobody says anything any more.

    Nothing ends the connections from here: a server that sees an end answers no second request.
    """
    said = dict.fromkeys(shapes, b"")
    with selectors.DefaultSelector() as waiting, ExitStack() as links:
        for name, raw in shapes.items():
            link = links.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            link.sendall(raw)
            waiting.register(link, selectors.EVENT_READ, name)
        while heard := waiting.select(_QUIET):
            for key, _ in heard:
                part = received(key.fileobj)
                said[key.data] += part
                if not part:
                    waiting.unregister(key.fileobj)
    return said


def received(link: object) -> bytes:
    assert isinstance(link, socket.socket)
    try:
        return link.recv(65536)
    except ConnectionError:
        return b""


def shaped(line: bytes, shape: bytes, hidden: bytes) -> bytes:
    filled = shape % len(hidden) if b"%" in shape else shape
    return line + b" HTTP/1.1\r\nHost: localhost\r\n" + filled + hidden


@pytest.mark.parametrize("line", [b"GET /authenticate", b"POST /refresh", b"GET /healthz"])
def test_a_gateway_never_answers_what_was_hidden(site: NginxFront, line: bytes) -> None:
    raw = {name: shaped(line, shape, HIDDEN) for name, shape in SHAPES.items()}
    said = answers(site.gateway.port, {**raw, "open": shaped(line, _OPEN, HIDDEN)})
    # The bytes after an empty body are a request of their own: this shows that it is answered.
    assert b"pong" in said.pop("open")
    assert all(text.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")) for text in said.values())
    assert not [name for name, text in said.items() if b"pong" in text]


@pytest.mark.parametrize("at_once", [True, False])
def test_no_field_behind_a_body_is_one_of_the_next_request(site: NginxFront, at_once: bool) -> None:
    token = site.gateway.login()["access"]
    asked = b"".join(f"{name}: {value}\r\n".encode() for name, value in ORIGINAL.items())
    next_ = b"GET /authenticate HTTP/1.1\r\nHost: localhost\r\n" + asked + b"\r\n"
    for line in (b"POST /ping", b"GET /ping", b"POST /refresh", b"GET /authenticate", b"GET /no"):
        fields = b"0\r\nX: y\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
        hiding = shaped(line, _CHUNKED + b"\r\n" + fields, b"")
        with socket.create_connection(("127.0.0.1", site.gateway.port), 5) as link:
            link.sendall(hiding + next_ if at_once else hiding)
            said = received(link)
            with contextlib.suppress(ConnectionError):
                link.sendall(next_)
            while part := received(link):
                said += part
        # Whoever asks next asks on another connection.
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in said


def test_nginx_never_hands_on_what_was_hidden(site: NginxFront) -> None:
    token = site.gateway.login()["access"]
    bearer = f"Authorization: Bearer {token}\r\n\r\n".encode()
    hidden = HIDDEN.replace(b"/ping", b"/hidden")
    allowed = hidden.removesuffix(b"\r\n") + bearer
    # NGINX reads a bare line feed as an end of line (RFC 9112 section 2.2), so that the bytes after
    # it may be a request of their own: then it is checked like any other.
    for line in (b"POST /page", b"POST /login", b"GET /page"):
        raw = {name: shaped(line, shape, hidden) for name, shape in SHAPES.items()}
        said = answers(site.port, {**raw, "open": shaped(line, _OPEN, allowed)})
        assert b"/hidden" in said.pop("open")
        assert not [name for name, text in said.items() if b"/hidden" in text]
    # Those who come next on the connections that NGINX keeps get their own answers.
    for number in range(20):
        answer = site.get(f"/own-{number}", token)
        assert (answer.status, answer.json()["path"]) == (200, f"/own-{number}")
