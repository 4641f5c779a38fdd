"""Somebody who goes on asking while others attack, and what the attack costs the gateway."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.support.processes import GatewayProcess

_PAUSE = 0.02  # seconds
_ANSWER_WITHIN = 2.0  # seconds; a busy machine has this much to spare


def resident(gateway: GatewayProcess) -> int:
    """Memory of the process, in KB."""
    for line in _status(gateway):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def processor_time(gateway: GatewayProcess) -> float:
    """Seconds that the process has worked."""
    assert gateway.process is not None
    fields = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(gateway: GatewayProcess) -> list[str]:
    assert gateway.process is not None
    return Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()


@contextmanager
def others_unaffected(gateway: GatewayProcess, *, most_memory: int) -> Iterator[None]:
    """Ask on one kept connection and on a new one in turn; each answer is right, and in time.

    `most_memory` is what the process may grow by, in KB.
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
    kept = HTTPConnection("127.0.0.1", port, timeout=_ANSWER_WITHIN)
    while not done.wait(_PAUSE):
        new = HTTPConnection("127.0.0.1", port, timeout=_ANSWER_WITHIN)
        for link in (kept, new):
            wrong.extend(_what_is_wrong(link, token))
        new.close()
    kept.close()


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
