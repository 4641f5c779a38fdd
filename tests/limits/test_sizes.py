"""Oversized input of every kind, in steps up to 64 MB, is refused at low cost."""

import gzip
import itertools
import json
import socket
import time
from collections.abc import Iterable, Iterator

import pytest

from tests.limits.watch import others_unaffected, processor_time, resident
from tests.support.processes import GatewayProcess, ask, make_gateway

_STEPS = [2**n for n in range(10, 27, 2)]
_BLOCK = b"a" * 65536
_TIMEOUT = 5.0  # seconds for sending 64 MB; a refusal ends it long before


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    made = make_gateway(tmp_path_factory.mktemp("sizes") / "gateway")
    made.covered = False
    made.start()
    yield made
    made.stop()


def filling(size: int) -> Iterator[bytes]:
    for left in range(size, 0, -len(_BLOCK)):
        yield _BLOCK[:left]


def long_uri(size: int) -> Iterable[bytes]:
    return [b"GET /ping?", *filling(size), b" HTTP/1.1\r\nHost: a\r\n\r\n"]


def long_header(size: int) -> Iterable[bytes]:
    return [b"GET /ping HTTP/1.1\r\nHost: a\r\nX-A: ", *filling(size), b"\r\n\r\n"]


def long_name(size: int) -> Iterable[bytes]:
    return [b"GET /ping HTTP/1.1\r\nHost: a\r\n", *filling(size), b": a\r\n\r\n"]


def many_headers(size: int) -> Iterable[bytes]:
    lines = (b"X-%d: %s\r\n" % (n, _BLOCK[:1000]) for n in range(size // 1000))
    return [b"GET /ping HTTP/1.1\r\nHost: a\r\n", *lines, b"\r\n"]


def many_large_headers(size: int) -> Iterable[bytes]:
    lines = (b"X-%d: %s\r\n" % (n, _BLOCK[:30000]) for n in range(size // 30000))
    return [b"GET /ping HTTP/1.1\r\nHost: a\r\n", *lines, b"\r\n"]


def many_cookies(size: int) -> Iterable[bytes]:
    pairs = (b"c%d=%s; " % (n, _BLOCK[:50]) for n in range(size // 60))
    return [b"GET /authenticate HTTP/1.1\r\nHost: a\r\nCookie: ", *pairs, b"z=1\r\n\r\n"]


def long_method(size: int) -> Iterable[bytes]:
    return [*filling(size), b" / HTTP/1.1\r\nHost: a\r\n\r\n"]


def body(size: int) -> Iterable[bytes]:
    head = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return [head + b"Content-Length: %d\r\n\r\n" % size, *filling(size)]


def chunked_body(size: int) -> Iterable[bytes]:
    head = b"POST /refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    chunks = (b"%x\r\n%s\r\n" % (len(block), block) for block in filling(size))
    return [head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"]


def body_that_nobody_reads(size: int) -> Iterable[bytes]:
    return [b"GET /ping HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size, *filling(size)]


def status_of(gateway: GatewayProcess, parts: Iterable[bytes]) -> int | None:
    """Return the status of the response; None if the connection was closed before it."""
    with socket.create_connection(("127.0.0.1", gateway.port), _TIMEOUT) as link:
        try:
            for part in parts:
                link.sendall(part)
        except ConnectionError:
            # A response sent before the close may still be in the buffer.
            pass
        try:
            received = link.recv(4096)
        except ConnectionError:
            return None
        return int(received.split()[1]) if received else None


@pytest.mark.parametrize(
    ("shape", "fine"),
    [
        (long_uri, 2**14),
        (long_header, 2**14),
        (long_name, 2**14),
        (many_headers, 2**16),
        (many_large_headers, 2**18),
        (many_cookies, 2**14),
        (long_method, 0),
        (body, 0),
        (chunked_body, 0),
        (body_that_nobody_reads, 2**26),
    ],
)
def test_sizes(gateway: GatewayProcess, shape: object, fine: int) -> None:
    assert callable(shape)
    # A new process keeps 6 to 10 MB after its first large requests; 64 MB are sent.
    with others_unaffected(gateway, most_memory=16_000):
        for size in _STEPS:
            status = status_of(gateway, shape(size))
            if size <= fine:
                assert status in (200, 401), size
            else:
                assert status in (None, 400, 413), (size, status)
            assert ask(gateway.port, "GET", "/ping").status == 200


def test_many_concurrent_large_requests_are_bounded(gateway: GatewayProcess) -> None:
    # Without a limit for the whole head, each request would keep 4 MB.
    before = resident(gateway)
    with others_unaffected(gateway, most_memory=60_000):
        links = [socket.create_connection(("127.0.0.1", gateway.port), 5) for _ in range(30)]
        for link in links:
            _send_while_it_can(link, itertools.islice(many_large_headers(2**22), 120))
        assert resident(gateway) - before < 60_000
        for link in links:
            link.close()


def _send_while_it_can(link: socket.socket, parts: Iterable[bytes]) -> None:
    try:
        for part in parts:
            link.sendall(part)
    except ConnectionError:
        pass


@pytest.mark.sample
def test_a_compressed_body_is_not_inflated(gateway: GatewayProcess) -> None:
    bomb = gzip.compress(bytes(2**20)) * 1000  # consecutive members: 1 GB
    body = [b"%x\r\n" % len(bomb), bomb, b"\r\n0\r\n\r\n"]
    kind = b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    before = processor_time(gateway)
    for line, expected in ((b"POST /login", 415), (b"POST /refresh", 415), (b"GET /ping", 200)):
        head = line + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        with others_unaffected(gateway, most_memory=10_000):
            assert status_of(gateway, [head + kind, *body]) == expected
    assert processor_time(gateway) - before < 2


BOMBS = {
    "deep lists": b"[" * 8000,
    "deep objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "deep under a known key": b'{"user_id":' + b"[" * 8000 + b"]" * 8000 + b"}",
    "deep in 100,000": b'{"user_id":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "many keys": json.dumps({str(n): 0 for n in range(1600)}).encode(),
    "a million keys": json.dumps({str(n): 0 for n in range(1_000_000)}).encode(),
    "a huge integer": b'{"user_id": ' + b"9" * 16000 + b"}",
    "a long integer": b'{"user_id": ' + b"9" * 4000 + b"}",
    "a huge exponent": b'{"user_id": 1e999999999}',
    "duplicates": b'{"user_id": 1, "user_id": 2}',
    "NaN": b'{"user_id": NaN}',
    "Infinity": b'{"user_id": -Infinity}',
    "a lone surrogate": b'{"username": "\\ud800", "password": "x"}',
    "a lone surrogate as a password": b'{"username": "alice", "password": "\\udfff"}',
    "a surrogate as a key": b'{"\\ud800": 1}',
    "raw surrogate": b'{"username": "\xed\xa0\x80", "password": "x"}',
    "NUL": b'{"username": "\\u0000", "password": "x"}',
    # A single mark is accepted: editors and PowerShell write it.
    "two byte order marks": b"\xef\xbb\xbf" * 2 + b'{"user_id": 1}',
    "UTF-16": '{"user_id": 1}'.encode("utf-16"),
    "nothing but spaces": b" " * 16000,
    "two values": b'{"user_id": 1} {}',
}


@pytest.mark.sample
@pytest.mark.parametrize("path", ["/login", "/refresh", "/logout", "/revoke"])
def test_bombs(gateway: GatewayProcess, path: str) -> None:
    head = {"Content-Type": "application/json", **(gateway.basic if path != "/logout" else {})}
    with others_unaffected(gateway, most_memory=10_000):
        for name, bomb in BOMBS.items():
            before = processor_time(gateway)
            answer = ask(gateway.port, "POST", path, head, bomb)
            assert answer.status in ((400, 401, 413) if path == "/login" else (400, 413)), name
            assert processor_time(gateway) - before < 0.3, name


def test_a_request_after_a_refused_body_is_parsed_correctly(gateway: GatewayProcess) -> None:
    # On the same connection: a desynchronised parser would take the body for a request.
    smuggled = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"
    filled = smuggled.ljust(17 * 1024)
    first = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as link:
        link.sendall(first + b"Content-Length: %d\r\n\r\n" % len(filled) + filled)
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.1)
        received = b"".join(iter(lambda: link.recv(65536), b""))
    assert received.count(b"HTTP/1.1 ") == 2
    assert received.count(b"HTTP/1.1 413 ") == 1
    assert b"pong" not in received
