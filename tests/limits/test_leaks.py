"""Many requests of every kind leave neither memory nor descriptors behind."""

import socket
from pathlib import Path

from tests.limits.watch import resident
from tests.support.processes import GatewayProcess, ask, make_gateway

_ROUND = 4000


def descriptors(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))


def many(gateway: GatewayProcess, token: str) -> None:
    """Send allowed, refused, malformed and aborted requests, with many connections."""
    head = b"GET /authenticate HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n"
    for number in range(_ROUND // 20):
        with socket.create_connection(("127.0.0.1", gateway.port), 5) as link:
            for text in (token, f"{token}{number}", f"x.{number}.y") * 6:
                link.sendall(head % text.encode())
                link.recv(65536)
            link.sendall(b"GET /authenticate HTTP/1.1\r\nHost: a\r\nAuthorization: Bea")
        with socket.create_connection(("127.0.0.1", gateway.port), 5) as link:
            link.sendall(b"%d nonsense\r\n\r\n" % number)
            link.recv(65536)


def test_many_requests_leave_no_memory_or_descriptors_behind(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "gateway")
    gateway.covered = False
    gateway.start()
    try:
        token = gateway.login()["access"]
        # Caches of requests are bounded, and full after the first rounds.
        for _ in range(2):
            many(gateway, token)
        memory, files = resident(gateway), descriptors(gateway)
        for _ in range(4):
            many(gateway, token)
        ask(gateway.port, "GET", "/healthz")
        assert descriptors(gateway) <= files + 2
        assert resident(gateway) - memory < 4096
    finally:
        gateway.stop()
