"""Requests that are refused before a handler: a problem document and a log line for each."""

import json
import re

import pytest
from aiohttp import web

from authgw.forward_auth.endpoint import CheckEndpoint
from authgw.forward_auth.response_bytes import SERVER
from authgw.observability.metrics import RequestMetrics
from tests.support.gateway import MakeGateway, RunningGateway
from tests.support.login_scene import page_of
from tests.support.messages import MALFORMED
from tests.support.raw_http import asking, known, told

_CANARY = b"canary"
# Each holds a word that no answer may repeat.
_UNREADABLE = (
    *MALFORMED,
    b"canary / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET canary HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / canary\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\ncanary\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: canary\x00\r\n\r\n",
    b"GET /canary HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: canary\r\nHost: canary\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: canary\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: canary\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key1: canary\r\n\r\n",
    b"GET http:///canary HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT canary:x:y HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /canary HTTP/2.0\r\nHost: x\r\n\r\n",
)
_EXPECTED = (b"canary", b"\xff", b"\xffcanary", b"100-continue, canary", b"200-canary", b'"canary"')


@pytest.fixture
async def paged(make_gateway: MakeGateway) -> RunningGateway:
    """A gateway with every page that there is."""
    return await make_gateway(
        logging={"decisions": "denied"}, login=page_of(), server={"docs": True}
    )


def parsed(received: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the only answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    headers = {name: value for name, _, value in pairs}
    assert len(headers) == len(lines)
    assert len(body) == int(headers["Content-Length"])
    return int(status.split()[1]), headers, body


def assert_problem(received: bytes, status: int, code: str) -> None:
    received_status, headers, body = parsed(received)
    assert (received_status, headers["X-Authgw-Reason"]) == (status, code)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == SERVER
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == headers["X-Request-ID"]
    assert _CANARY not in received.lower()


def _has_bad_head(raw: bytes) -> bool:
    """Return false for a bad chunk behind a well-formed head, which a handler answers."""
    return b"chunked\r\n\r\nzz" not in raw and b"chunked\r\n\r\n2\r\n" not in raw


@pytest.mark.parametrize(
    "raw", [raw for raw in _UNREADABLE if _has_bad_head(raw)], ids=lambda raw: repr(raw[:60])
)
async def test_what_the_parser_refuses_is_a_problem(quick: RunningGateway, raw: bytes) -> None:
    assert_problem(await told(quick, [raw]), 400, "request_malformed")
    (event,) = [each for each in quick.events if each.reason]
    assert (event.name, event.reason, event.address) == ("deny", "request_malformed", "127.0.0.1")
    assert "canary" not in repr(event)


async def test_a_line_that_is_too_long_is_named(quick: RunningGateway) -> None:
    long = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"canary" * 6000 + b"\r\n\r\n"
    received = await told(quick, [long])
    assert_problem(received, 400, "request_malformed")
    assert b"too long" in received


@pytest.mark.parametrize("expected", _EXPECTED)
@pytest.mark.parametrize(
    "line", [b"GET /authenticate", b"POST /login", b"GET /nowhere", b"PUT /ping", b"HEAD /ping"]
)
async def test_an_expectation_that_cannot_be_met_is_a_problem(
    quick: RunningGateway, expected: bytes, line: bytes
) -> None:
    before = b"Expect: 100-continue\r\n"
    for lines in (b"", before, b"Expect:\r\n"):
        quick.events.clear()
        field = lines + b"Expect: " + expected + b"\r\n"
        raw = line + b" HTTP/1.1\r\nHost: x\r\n" + field + b"Content-Length: 3\r\n\r\n{}x"
        received = await told(quick, [raw + b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"])
        assert received.startswith(b"HTTP/1.1 417 ")
        assert b"\r\nConnection: close\r\n" in received
        if not line.startswith(b"HEAD"):
            assert_problem(received, 417, "expectation_failed")
        (event,) = [each for each in quick.events if each.reason]
        assert (event.name, event.reason) == ("deny", "expectation_failed")
        assert "canary" not in repr(event)


@pytest.mark.parametrize(
    ("fields", "version", "interim"),
    [
        (b"Expect: 100-continue\r\n", b"HTTP/1.1", 1),
        (b"Expect: 100-Continue\r\n", b"HTTP/1.1", 1),
        (b"Expect: 100-continue\r\nExpect: 100-continue\r\n", b"HTTP/1.1", 1),
        (b"Expect:\r\n", b"HTTP/1.1", 0),
        # RFC 9110 section 10.1.1: an older client must not be sent it.
        (b"Expect: 100-continue\r\n", b"HTTP/1.0", 0),
        (b"Expect: canary\r\n", b"HTTP/1.0", 0),
        (b"Expect: \xff\r\n", b"HTTP/1.0", 0),
    ],
)
async def test_an_expectation_that_can_be_met_is(
    quick: RunningGateway, fields: bytes, version: bytes, interim: int
) -> None:
    line = b"POST /refresh " + version + b"\r\nHost: x\r\nContent-Type: application/json\r\n"
    received = await told(
        quick, [line + fields + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"]
    )
    assert received.count(b"HTTP/1.1 100 Continue\r\n\r\n") == interim
    answer = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert b"expectation_failed" not in answer


def _fail(*_: object) -> None:
    raise ZeroDivisionError("canary")


@pytest.mark.parametrize("place", ["a middleware", "the router", "the front door"])
async def test_what_fails_outside_of_a_handler_is_a_problem(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    sent = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    if place == "a middleware":
        monkeypatch.setattr(RequestMetrics, "record", _fail)
    elif place == "the router":
        monkeypatch.setattr(web.UrlDispatcher, "resolve", _fail)
    else:
        monkeypatch.setattr(CheckEndpoint, "_begin", _fail)
        sent = asking("none", Connection="close")
    received = await told(quick, [sent])
    assert_problem(received, 500, "internal_error")
    assert b"\r\nConnection: close\r\n" in received
    (event,) = quick.events
    assert event.name == "failure"
    assert "canary" not in repr(event)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY"])
async def test_every_method_has_an_answer_on_every_path(paged: RunningGateway, method: str) -> None:
    paths = {resource.canonical for resource in paged.server.app.router.resources()}
    for path in sorted(paths | {"/nowhere", "*"} - ({"*"} if method != "OPTIONS" else set())):
        plain = path.partition("{")[0]
        line = f"{method} {plain} HTTP/1.1\r\nHost: auth.example.com\r\n"
        received = await told(paged, [f"{line}Connection: close\r\n\r\n".encode()])
        head, _, body = received.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        assert status < 500, path
        assert status != 405 or b"\r\nAllow: " in head, path
        assert b"\r\nCache-Control: " in head, path
        assert b"\r\nServer: authgw" in head, path
        assert not (method == "HEAD" and body), path


async def test_every_answer_names_the_same_server(paged: RunningGateway) -> None:
    access, names = await known(paged), []
    check, ping = asking(access), b"GET /ping HTTP/1.1\r\nHost: x\r\n"
    for raw in (
        *[check] * 4,
        *[asking("none")] * 3,
        *[asking(access, "HEAD /authenticate HTTP/1.1")] * 2,
        *[asking(access, "GET /authenticate HTTP/1.0")] * 2,
        *[asking(access, "POST /authenticate HTTP/1.1")] * 2,
        *[asking(access, "GET /authenticate/forward HTTP/1.1", Accept="text/html")] * 2,
        ping + b"\r\n",
        ping + b"Expect: x\r\n\r\n",
        ping + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ping.replace(b"Host: x", b"Host: auth.example.com").replace(b"/ping", b"/login") + b"\r\n",
        ping.replace(b"/ping", b"/login/style.css") + b"\r\n",
        ping.replace(b"/ping", b"/docs") + b"\r\n",
        ping.replace(b"/ping", b"/openapi.json") + b"\r\n",
        ping.replace(b"/ping", b"/nowhere") + b"\r\n",
        ping.replace(b"/ping", b"/login/account") + b"\r\n",
        ping.replace(b"GET", b"DELETE") + b"\r\n",
        *MALFORMED,
    ):
        closing = raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        received = await told(paged, [raw if raw in (check, *MALFORMED) else closing, b"\x00"])
        head = received.partition(b"\r\n\r\n")[0]
        names.append(re.findall(rb"(?i)\r\nserver: ([^\r]*)", head))
    assert paged.serving.cached_responses
    assert names == [[b"authgw"]] * len(names)
