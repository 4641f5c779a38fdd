"""Single requests to a server on loopback, by port or by unix socket."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT = 10.0  # seconds

Address = int | Path  # a port of loopback, or a unix socket


@dataclass(frozen=True, slots=True)
class BenchResponse:
    """Status and body of a response."""

    status: int
    body: bytes


def send(
    address: Address, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> BenchResponse:
    """Send a request on a new connection and return the response; a body is sent as JSON.

    Raises:
        OSError: the server does not respond.
    """
    link = http.client.HTTPConnection("127.0.0.1", timeout=_TIMEOUT)
    link.sock = connect(address)
    all_headers = {**headers, "Content-Type": "application/json"} if body is not None else headers
    try:
        link.request(method, path, body, dict(all_headers))
        response = link.getresponse()
        return BenchResponse(response.status, response.read())
    finally:
        link.close()


def raw_response(address: Address, request: bytes) -> bytes:
    """Send a request and return the bytes of the response, which must have a Content-Length."""
    with connect(address) as link:
        link.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += link.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        missing = content_length(head) - len(body)
        while missing > 0:
            more = link.recv(missing)
            received, missing = received + more, missing - len(more)
        return received


def content_length(head: bytes) -> int:
    """Return the Content-Length of a response head, 0 without the header."""
    return int(fields(head).get("content-length", "0"))


def fields(head: bytes) -> dict[str, str]:
    """Return the header fields of a response head, names in lower case."""
    lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


def connect(address: Address) -> socket.socket:
    """Return a connection to this address."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), _TIMEOUT)
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(_TIMEOUT)
    link.connect(str(address))
    return link
