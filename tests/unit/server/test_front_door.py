"""FrontDoor: which requests are checks, and its responses as bytes, without a connection."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from authgw.core.audit import Event
from authgw.core.errors import RequestMalformedError
from authgw.core.networks import TrustedProxies
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.envoy import ENVOY
from authgw.dialects.forwarded import FORWARDED
from authgw.dialects.nginx import NGINX
from authgw.forward_auth.decision_cache import CheckKey
from authgw.forward_auth.response_bytes import Response
from authgw.server.front_door import FrontDoor, peer_name
from authgw.server.http_reader import HeadReader, RequestHead
from authgw.web.context import Gateway
from authgw.web.dispatcher import Dispatcher

PEER = "127.0.0.1"
CLOSE = b"Connection: close\r\n"


class RecordingChecks:
    """Checks that respond to each request with the same response, after a read or at once."""

    def __init__(self) -> None:
        self.response = Response(403, (("X-A", "b"),), b"body", reason="not_permitted")
        self.has_to_read = False
        self.known: Response | None = self.response
        self.begun: list[tuple[Subrequest, Dialect, bool]] = []

    def lookup(self, *_: object) -> Response:
        return self.response

    def begin_known(self, *_: object) -> Any:
        return self._later() if self.has_to_read else self.known

    def begin(self, request: Subrequest, dialect: Dialect, *, is_plain: bool) -> Any:
        self.begun.append((request, dialect, is_plain))
        return self._later() if self.has_to_read else self.response

    async def _later(self) -> Response:
        return self.response


class DoorScene:
    """A front door with its checks, its events and its recorded responses."""

    def __init__(self) -> None:
        self.checks = RecordingChecks()
        self.events: list[Event] = []
        self.recorded: list[tuple[str, int, str]] = []
        gateway = SimpleNamespace(
            checks=self.checks,
            services=SimpleNamespace(record=self.events.append),
            policy=SimpleNamespace(trusted=TrustedProxies.parse((PEER,))),
        )
        self.dispatcher = Dispatcher(cast(Gateway, gateway))
        self.door = FrontDoor(self.dispatcher, self._record)

    def _record(self, path: str, status: int, reason: str, seconds: float) -> None:
        assert seconds >= 0
        self.recorded.append((path, status, reason))

    def begin(self, head: RequestHead, dialect: Dialect = NGINX) -> bytes:
        sent = self.door.begin(head, dialect, PEER)
        assert isinstance(sent, bytes)
        return sent


@pytest.fixture
def scene() -> DoorScene:
    return DoorScene()


def head_of(line: str = "GET /authenticate HTTP/1.1", *fields: str) -> RequestHead:
    reader = HeadReader()
    assert reader.feed("\r\n".join([line, "Host: a", *fields, "", ""]).encode("latin-1"))
    return reader.take()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("target", "dialect"),
    [
        ("/authenticate", NGINX),
        ("/authenticate/forward", FORWARDED),
        ("/authenticate/envoy", ENVOY),
        ("/authenticate/envoy/", ENVOY),
        ("/authenticate/envoy/a/../b?c=%20&d", ENVOY),
    ],
)
def test_checks_are_served(scene: DoorScene, method: str, target: str, dialect: Dialect) -> None:
    assert scene.door.dialect_of(head_of(f"{method} {target} HTTP/1.1")) is dialect


@pytest.mark.parametrize(
    "line",
    [
        "POST /authenticate HTTP/1.1",
        "PUT /authenticate/envoy/a HTTP/1.1",
        "OPTIONS /authenticate/forward HTTP/1.1",
        "GET /authenticate HTTP/1.0",
        "GET /authenticate/ HTTP/1.1",
        "GET /authenticate?a HTTP/1.1",
        "GET //authenticate HTTP/1.1",
        "GET /Authenticate HTTP/1.1",
        "GET /authenticate/other HTTP/1.1",
        "GET /authenticate/denied HTTP/1.1",
        "GET /authenticate/forward/a HTTP/1.1",
        "GET /authenticate/envoyer HTTP/1.1",
        "GET /authenticate/envoy?a HTTP/1.1",
        'GET /authenticate/envoy/"a" HTTP/1.1',
        "GET http://a/authenticate HTTP/1.1",
        "GET /ping HTTP/1.1",
    ],
)
def test_other_requests_are_for_the_application(scene: DoorScene, line: str) -> None:
    assert scene.door.dialect_of(head_of(line)) is None


@pytest.mark.parametrize(
    "field",
    [
        "Content-Length: 0",
        "content-length: 5",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "UPGRADE: websocket",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
    ],
)
def test_unusual_checks_are_for_the_application(scene: DoorScene, field: str) -> None:
    for method in ("GET", "HEAD"):
        head = head_of(f"{method} /authenticate HTTP/1.1", "X: y", field)
        assert scene.door.dialect_of(head) is None


@pytest.mark.parametrize("field", ["Connection: close", "TE: trailers", "X-Upgrade: a"])
def test_usual_headers_change_no_check(scene: DoorScene, field: str) -> None:
    assert scene.door.dialect_of(head_of("GET /authenticate HTTP/1.1", field)) is NGINX


def test_a_check_is_passed_on_as_it_was_sent(scene: DoorScene) -> None:
    head = head_of("GET /authenticate/envoy/a?b HTTP/1.1", "X-A: b \t", "x-a: \xff", "X-Empty:")
    scene.begin(head, ENVOY)
    ((request, dialect, is_plain),) = scene.checks.begun
    assert (request.method, request.raw_path) == ("GET", "/authenticate/envoy/a?b")
    assert request.headers == (
        (b"Host", b"a"),
        (b"X-A", b"b"),
        (b"x-a", b"\xff"),
        (b"X-Empty", b""),
    )
    assert (request.peer, dialect, is_plain) == (PEER, ENVOY, True)


def test_a_response_is_recorded(scene: DoorScene) -> None:
    sent = scene.begin(head_of())
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Forbidden\r\nX-A: b\r\nContent-Length: 4\r\n")
    assert body == b"body"
    assert CLOSE not in sent
    assert scene.recorded == [(NGINX.path, 403, "not_permitted")]


async def test_a_check_after_a_read_is_recorded(scene: DoorScene) -> None:
    scene.checks.has_to_read = True
    begun = scene.door.begin(head_of(), NGINX, PEER)
    assert not isinstance(begun, bytes)
    assert scene.recorded == []
    assert (await begun).endswith(b"\r\n\r\nbody")
    assert scene.recorded == [(NGINX.path, 403, "not_permitted")]


async def test_a_drain_during_a_read_closes_the_connection(scene: DoorScene) -> None:
    scene.checks.has_to_read = True
    begun = scene.door.begin(head_of(), NGINX, PEER)
    scene.dispatcher.draining = True
    assert not isinstance(begun, bytes)
    assert CLOSE in await begun


def test_a_response_to_head_has_no_body(scene: DoorScene) -> None:
    sent = scene.begin(head_of("HEAD /authenticate HTTP/1.1"))
    assert b"Content-Length: 4\r\n" in sent
    assert sent.endswith(b"\r\n\r\n")


def test_the_last_check_of_a_connection_says_so(scene: DoorScene) -> None:
    assert CLOSE in scene.begin(head_of("GET /authenticate HTTP/1.1", "Connection: close"))
    scene.dispatcher.draining = True
    assert CLOSE in scene.begin(head_of())
    assert [is_plain for _, _, is_plain in scene.checks.begun] == [False, False]


@pytest.mark.parametrize(
    ("line", "fields", "closes"),
    [
        ("GET / HTTP/1.1", [], False),
        ("GET / HTTP/1.1", ["Connection: close"], True),
        ("GET / HTTP/1.0", [], True),
        ("GET / HTTP/1.0", ["Connection: keep-alive"], False),
    ],
)
def test_a_connection_closes_if_its_client_says_so(
    scene: DoorScene, line: str, fields: list[str], closes: bool
) -> None:
    head = head_of(line, *fields)
    assert scene.door.closes(head) is closes
    scene.dispatcher.draining = True
    assert scene.door.closes(head)


def test_a_drain_uses_no_cached_response(scene: DoorScene) -> None:
    cached = scene.door.lookup(PEER, (b"Host",), [b"a"])
    assert isinstance(cached, bytes)
    assert cached.endswith(b"\r\n\r\nbody")
    scene.dispatcher.draining = True
    assert scene.door.lookup(PEER, (b"Host",), [b"a"]) is None
    assert scene.dispatcher.cached_responses == 1


KNOWN = cast(CheckKey, None)


def test_a_check_whose_rule_is_known_is_recorded(scene: DoorScene) -> None:
    sent = scene.door.begin_known(KNOWN)
    assert isinstance(sent, bytes)
    assert sent.startswith(b"HTTP/1.1 403 ")
    assert CLOSE not in sent
    assert scene.recorded == [(NGINX.path, 403, "not_permitted")]
    scene.checks.known = None
    assert scene.door.begin_known(KNOWN) is None
    assert len(scene.recorded) == 1


@pytest.mark.parametrize("drains", [False, True])
async def test_a_drain_during_a_known_check_closes_its_connection(
    scene: DoorScene, drains: bool
) -> None:
    scene.checks.has_to_read = True
    begun = scene.door.begin_known(KNOWN)
    assert begun is not None
    assert not isinstance(begun, bytes)
    scene.dispatcher.draining = drains
    assert (CLOSE in await begun) is drains
    assert scene.recorded == [(NGINX.path, 403, "not_permitted")]


def problem_in(sent: bytes) -> tuple[bytes, Any]:
    head, _, body = sent.partition(b"\r\n\r\n")
    assert CLOSE in head + b"\r\n"
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    return head.split(b"\r\n")[0], json.loads(body)


def test_a_malformed_request_is_refused_with_an_event(scene: DoorScene) -> None:
    status, document = problem_in(scene.door.refusal(RequestMalformedError(), PEER))
    # The version of the request is unknown.
    assert status == b"HTTP/1.0 400 Bad Request"
    (event,) = scene.events
    assert (event.reason, event.address) == (RequestMalformedError.code, PEER)
    assert (document["code"], document["request_id"]) == (event.reason, event.request_id)


def test_a_failure_has_a_problem_document(scene: DoorScene) -> None:
    status, document = problem_in(scene.door.failure(PEER))
    assert status == b"HTTP/1.1 500 Internal Server Error"
    (event,) = scene.events
    assert (event.name, event.reason, event.address) == ("failure", "internal_error", PEER)
    assert (document["code"], document["request_id"]) == ("internal_error", event.request_id)


@pytest.mark.parametrize(
    "fields", [[], ["Expect: 100-continue"], ["Expect: 100-Continue"], ["Expect:"]]
)
def test_a_usual_expectation_is_not_refused(scene: DoorScene, fields: list[str]) -> None:
    head = head_of("POST /login HTTP/1.1", "Content-Length: 1", *fields)
    assert scene.door.refused_expectation(head, PEER) is None
    assert scene.events == []


@pytest.mark.parametrize("value", ["x", "100-continue, x", "200-ok", "100-continue;q=1"])
def test_another_expectation_is_refused(scene: DoorScene, value: str) -> None:
    fields = ("Expect: 100-continue", f"Expect: {value}", "X-Forwarded-For: 192.0.2.7")
    sent = scene.door.refused_expectation(head_of("POST /login HTTP/1.1", *fields), PEER)
    assert sent is not None
    assert problem_in(sent)[0].startswith(b"HTTP/1.1 417 ")
    assert [event.address for event in scene.events] == ["192.0.2.7"]
    old = head_of("POST /login HTTP/1.0", *fields)
    assert scene.door.refused_expectation(old, PEER) is None


def test_a_refused_expectation_of_head_has_no_body(scene: DoorScene) -> None:
    sent = scene.door.refused_expectation(head_of("HEAD /ping HTTP/1.1", "Expect: x"), PEER)
    assert sent is not None
    assert sent.endswith(b"\r\n\r\n")
    assert CLOSE in sent


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("192.0.2.1", 80), "192.0.2.1"),
        (("::1", 80, 0, 0), "::1"),
        ("", "unix"),
        ("127.0.0.1", "unix"),
        (None, "unix"),
    ],
)
def test_the_name_of_a_peer_on_a_unix_socket_is_fixed(name: object, expected: str) -> None:
    assert peer_name(name) == expected
