"""A client with continuous requests during an attack, and the gateway's cost of the attack."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.support.processes import GatewayProcess

_INTERVAL = 0.02  # seconds
_MAX_RESPONSE_TIME = 2.0  # seconds of tolerance for a busy machine


def resident(gateway: GatewayProcess) -> int:
    """Return the memory of the process, in KB."""
    for line in _status(gateway):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def processor_time(gateway: GatewayProcess) -> float:
    """Return the CPU seconds that the process has used."""
    assert gateway.process is not None
    fields = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(gateway: GatewayProcess) -> list[str]:
    assert gateway.process is not None
    return Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()


@contextmanager
def others_unaffected(gateway: GatewayProcess, *, most_memory: int) -> Iterator[None]:
    """Send requests on a persistent and a new connection in turn; check result and time of each.

    `most_memory` is the permitted growth of the process, in KB.
    """
    token = gateway.login()["access"]
    before = resident(gateway)
    done, wrong = threading.Event(), list[str]()
    watcher = threading.Thread(target=_ask_until, args=(done, gateway.port, token, wrong))
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert not wrong
    assert resident(gateway) - before < most_memory


def _ask_until(done: threading.Event, port: int, token: str, wrong: list[str]) -> None:
    persistent = HTTPConnection("127.0.0.1", port, timeout=_MAX_RESPONSE_TIME)
    while not done.wait(_INTERVAL):
        new = HTTPConnection("127.0.0.1", port, timeout=_MAX_RESPONSE_TIME)
        for link in (persistent, new):
            wrong.extend(_what_is_wrong(link, token))
        new.close()
    persistent.close()


def _what_is_wrong(link: HTTPConnection, token: str) -> Iterator[str]:
    began = time.monotonic()
    try:
        link.request("GET", "/authenticate", headers={"Authorization": f"Bearer {token}"})
        answer = link.getresponse()
        body = answer.read()
    except OSError as error:
        yield f"{error!r} after {time.monotonic() - began:.2f} s"
        return
    if answer.status != 200 or b'"user_id": 1' not in body:
        yield f"{answer.status} {body!r}"
