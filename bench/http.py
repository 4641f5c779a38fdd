"""Single requests to a server on loopback, by port or by unix socket."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 10.0  # seconds

Address = int | Path  # a port of loopback, or a unix socket


@dataclass(frozen=True, slots=True)
class BenchResponse:
    """Status and body of an answer."""

    status: int
    body: bytes


def ask(
    address: Address, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> BenchResponse:
    """Send a request on a new connection, a body as JSON.

    Raises:
        OSError: no server responds.
    """
    link = http.client.HTTPConnection("127.0.0.1", timeout=_PATIENCE)
    link.sock = connect(address)
    said = {**headers, "Content-Type": "application/json"} if body is not None else headers
    try:
        link.request(method, path, body, dict(said))
        answer = link.getresponse()
        return BenchResponse(answer.status, answer.read())
    finally:
        link.close()


def raw_answer(address: Address, request: bytes) -> bytes:
    """Every byte of the answer to a request, which carries a Content-Length."""
    with connect(address) as link:
        link.sendall(request)
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += link.recv(65536)
        head, _, body = seen.partition(b"\r\n\r\n")
        missing = content_length(head) - len(body)
        while missing > 0:
            more = link.recv(missing)
            seen, missing = seen + more, missing - len(more)
        return seen


def content_length(head: bytes) -> int:
    """The Content-Length of an answer's head, 0 if it has none."""
    return int(fields(head).get("content-length", "0"))


def fields(head: bytes) -> dict[str, str]:
    """The header fields of an answer's head, names in lower case."""
    lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


def connect(address: Address) -> socket.socket:
    """A connection to this address."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), _PATIENCE)
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(_PATIENCE)
    link.connect(str(address))
    return link
