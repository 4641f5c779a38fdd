"""Slow peers: slowhttptest against a gateway that other clients use meanwhile."""

import re
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.limits.watch import others_unaffected
from tests.support.processes import GatewayProcess, ask, make_gateway

_CONNECTIONS = 500
_ALL_CLOSED = "No open connections left"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    made = make_gateway(tmp_path_factory.mktemp("slow") / "gateway")
    made.covered = False
    made.start()
    yield made
    made.stop()


def attack(gateway: GatewayProcess, path: str, *options: str, seconds: int) -> str:
    """Run slowhttptest for at most this many seconds; return its output."""
    program = shutil.which("slowhttptest")
    if program is None:
        pytest.fail("slowhttptest is missing: apt-get install slowhttptest")
    words = [program, "-c", str(_CONNECTIONS), "-r", "250", "-l", str(seconds)]
    target = ["-u", f"http://127.0.0.1:{gateway.port}{path}"]
    run = subprocess.run(
        [*words, *options, *target], capture_output=True, text=True, timeout=90, check=False
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", run.stdout)


def test_endless_heads(gateway: GatewayProcess) -> None:
    with others_unaffected(gateway, most_memory=20_000):
        output = attack(gateway, "/ping", "-H", "-i", "2", seconds=16)
    assert _ALL_CLOSED in output


def test_endless_bodies(gateway: GatewayProcess) -> None:
    body = ["-B", "-t", "POST", "-f", "application/json", "-s", "16000", "-i", "2", "-x", "8"]
    with others_unaffected(gateway, most_memory=20_000):
        output = attack(gateway, "/refresh", *body, seconds=18)
    assert _ALL_CLOSED in output
    assert "body_too_slow" in gateway.log


def test_slow_readers_of_responses(gateway: GatewayProcess) -> None:
    reads = ["-X", "-w", "8", "-y", "16", "-n", "2", "-z", "8", "-k", "3"]
    with others_unaffected(gateway, most_memory=60_000):
        attack(gateway, "/openapi.json", *reads, seconds=8)


def test_a_client_with_many_connections_does_not_lock_out_others(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "gateway")
    gateway.covered = False
    with descriptors(512):
        gateway.start()
    try:
        with others_unaffected(gateway, most_memory=20_000):
            silent = [connect_and_send(gateway, b"") for _ in range(300)]
            half = [connect_and_send(gateway, b"GET /ping HTTP/1.1\r\n") for _ in range(300)]
            spoke = [
                connect_and_send(gateway, b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
                for _ in range(300)
            ]
            links = [*silent, *half, *spoke]
            # The peer receives the close a moment later.
            while sum(map(is_ended, links)) < len(links) - 384:
                time.sleep(0.1)
        assert "More than 384 connections" in gateway.log
        for link in links:
            link.close()
        assert ask(gateway.port, "GET", "/healthz").status == 200
    finally:
        gateway.stop()


@contextmanager
def descriptors(most: int) -> Iterator[None]:
    """Limit the open files of processes started in the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connect_and_send(gateway: GatewayProcess, output: bytes) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", gateway.port), 5)
    link.sendall(output)
    # As slow as over a network: the gateway's event loop accepts few connections per iteration.
    time.sleep(0.002)
    return link


def is_ended(link: socket.socket) -> bool:
    """Return True if the gateway has closed the connection."""
    link.setblocking(False)
    try:
        while link.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
