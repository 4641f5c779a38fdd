"""The metrics port: no version numbers and no reflected input."""

import re
import socket

import pytest

from authgw.observability import metrics_server
from tests.support.processes import free_port


@pytest.fixture(scope="module")
def port() -> int:
    free = free_port()
    metrics_server.expose("127.0.0.1", free)
    return free


def response_to(port: int, raw: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.sendall(raw)
        link.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: link.recv(65536), b""))


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /canary HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"POST /canary HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"GET /canary HTTP/x.canary\r\n\r\n", b"400"),
        (b"GET /canary canary HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /canary HTTP/3.0\r\n\r\n", b"505"),
        # As many bytes as the server reads: the system would reset a connection with unread data.
        (b"GET / HTTP/1.1\r\n" + (b"X: " + b"canary" * 11_000)[:65_537], b"431"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_responses_contain_no_version_and_no_input(port: int, raw: bytes, status: bytes) -> None:
    response = response_to(port, raw)
    assert re.match(rb"HTTP/1\.\d " + status, response), response[:200]
    assert re.findall(rb"(?i)\r\nserver: ([^\r]*)", response) == [b"authgw"]
    assert b"canary" not in response


def test_a_silent_client_causes_no_traceback(
    port: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server._Requests, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        assert link.recv(1) == b""
    assert capfd.readouterr().err == ""
