"""The gateway itself hangs, is killed, or runs out of descriptors."""

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.stack import CONFIG, Stack
from tests.faults.watch import RECOVERY
from tests.support.nginx import NginxFront, running_site
from tests.support.processes import ask

_MAX_DESCRIPTORS = 256


@pytest.fixture
def site(tmp_path: Path) -> Iterator[NginxFront]:
    yield from running_site(tmp_path, config=CONFIG)


@pytest.mark.sample
def test_hung_gateways_are_a_503_in_time(stack: Stack) -> None:
    access = stack.log_in(71)["access"]
    processes = [gateway.process for gateway in stack.gateways]
    for process in processes:
        assert process is not None
        process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        hung = stack.get("/page", access)
        # NGINX waits 2 s for each of the two replicas.
        assert time.monotonic() - began < 6
        assert (hung.status, hung.headers["Retry-After"]) == (503, "1")
    finally:
        for process in processes:
            assert process is not None
            process.send_signal(signal.SIGCONT)
    _until(stack.port, access, 200)


def test_another_replica_responds_instead_of_a_hung_replica(stack: Stack) -> None:
    access = stack.log_in(72)["access"]
    process = stack.gateways[0].process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        # Round robin: the first or the second request goes to the hung replica.
        for _ in range(2):
            began = time.monotonic()
            assert stack.get("/page", access).status == 200
            assert time.monotonic() - began < 4
    finally:
        process.send_signal(signal.SIGCONT)


def test_sessions_of_the_embedded_store_survive_a_kill(site: NginxFront) -> None:
    pairs = {user: site.gateway.login(user) for user in range(1, 16)}
    for user in (1, 2, 3):
        body = {"refresh": pairs[user]["refresh"]}
        pairs[user] = ask(site.gateway.port, "POST", "/refresh", body=body).json()
    for user in (4, 5, 6):
        bearer = {"Authorization": f"Bearer {pairs[user]['access']}"}
        assert ask(site.gateway.port, "POST", "/logout", bearer).status == 200
    before = {user: site.get("/page", pair["access"]).status for user, pair in pairs.items()}
    assert before == {user: 401 if user in (4, 5, 6) else 200 for user in pairs}

    assert site.gateway.stop(signal.SIGKILL) == -signal.SIGKILL
    down = site.get("/page", pairs[1]["access"])
    assert (down.status, down.headers["Retry-After"]) == (503, "1")

    site.gateway.start()
    _until(site.port, pairs[1]["access"], 200)
    assert before == {
        user: site.get("/page", pair["access"]).status for user, pair in pairs.items()
    }
    for user, pair in pairs.items():
        again = ask(site.gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
        assert again.status == before[user]


def test_a_gateway_recovers_from_exhausted_descriptors(tmp_path: Path) -> None:
    with _few_descriptors():
        sites = running_site(tmp_path, config=CONFIG)
        site = next(sites)
    access = site.gateway.login(1)["access"]
    assert site.get("/page", access).status == 200
    process = site.gateway.process
    assert process is not None
    before = len(os.listdir(f"/proc/{process.pid}/fd"))
    with ExitStack() as held:
        for _ in range(2 * _MAX_DESCRIPTORS):
            link = held.enter_context(socket.socket())
            link.settimeout(5)
            link.connect(("127.0.0.1", site.gateway.port))
        # Meanwhile NGINX may receive any response except a wrong decision.
        assert site.get("/page", access).status in (200, 503)
        assert site.get("/page").status in (401, 503)
    _until(site.port, access, 200)
    until = time.monotonic() + 10
    while len(os.listdir(f"/proc/{process.pid}/fd")) > before + 5:
        assert time.monotonic() < until, "descriptors of connections that ended are kept"
        time.sleep(0.05)
    assert "Traceback" not in site.gateway.log
    with pytest.raises(StopIteration):
        next(sites)


@contextmanager
def _few_descriptors() -> Iterator[None]:
    """Limit the file descriptors of processes started in the block (ulimit -n)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_DESCRIPTORS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _until(port: int, access: str, status: int) -> None:
    """Wait until everything works again, within the promised time."""
    until = time.monotonic() + RECOVERY
    headers = {"Authorization": f"Bearer {access}"}
    while ask(port, "GET", "/page", headers).status != status:
        assert time.monotonic() < until
        time.sleep(0.02)
