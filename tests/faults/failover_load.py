"""Clients of two gateways that compare each response with the expected results."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.faults.stack import STALENESS
from tests.support.processes import GatewayProcess, HttpResponse, ask

_MARGIN = 0.2  # seconds from a response of the gateway to its record here


@dataclass
class LoadClient:
    """A session; `ended` is the time at which its logout was acknowledged."""

    user_id: int
    pair: dict[str, Any]
    ending: bool = False
    ended: float | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sid(self) -> str:
        return str(self.pair["sid"])


class FailoverLoad:
    """Checks, refreshes and logouts at constant rates, on all gateways in turn."""

    def __init__(self, gateways: Sequence[GatewayProcess], sessions: int) -> None:
        self.gateways = gateways
        self.clients = [LoadClient(n, gateways[0].login(n)) for n in range(1, sessions + 1)]
        self.wrong: list[str] = []
        self.statuses_seen: Counter[tuple[str, int]] = Counter()
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run 200 checks, 20 refreshes and 5 logouts per second until the block ends."""
        work: list[tuple[Callable[[], None], float]] = [(self._check, 50)] * 4
        work += [(self._refresh, 20), (self._log_out, 5)]
        threads = [threading.Thread(target=self._repeat, args=one) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(30)

    def check(self, gateway: GatewayProcess, client: LoadClient) -> int:
        """Send a check with this client's access token and compare the response with its state."""
        sent, ended, ending = time.monotonic(), client.ended, client.ending
        headers = {
            "Authorization": f"Bearer {client.pair['access']}",
            "X-Original-URL": "http://localhost/",
            "X-Original-Host": "localhost",
            "X-Original-Method": "GET",
        }
        status = self._ask("check", gateway, "GET", "/authenticate", headers).status
        if status == 200 and ended is not None and sent > ended + STALENESS + _MARGIN:
            self.wrong.append(f"{client.user_id} passed {sent - ended:.2f} s after its log-out")
        if status == 401 and not ending and not client.ending:
            self.wrong.append(f"{client.user_id} is alive and was refused")
        return status

    def refresh(self, gateway: GatewayProcess, client: LoadClient) -> int:
        """Present this client's refresh token; the caller must hold its lock."""
        body = {"refresh": client.pair["refresh"]}
        answer = self._ask("refresh", gateway, "POST", "/refresh", {}, body)
        if answer.status == 200:
            client.pair = answer.json()
        elif answer.status == 401:
            self.wrong.append(f"{client.user_id} could not refresh: {answer.body!r}")
        return answer.status

    def log_out(self, gateway: GatewayProcess, client: LoadClient) -> int:
        """Log this client out; the caller must hold its lock."""
        client.ending = True
        bearer = {"Authorization": f"Bearer {client.pair['access']}"}
        status = self._ask("log-out", gateway, "POST", "/logout", bearer).status
        if status == 200:
            client.ended = time.monotonic()
        return status

    def settle(self) -> None:
        """Compare every client's state with the responses of both gateways, after the load."""
        # The last ended sessions may still be mirrored: pushes resume a while later.
        time.sleep(STALENESS + _MARGIN)
        for gateway in self.gateways:
            for client in self.clients:
                if client.ended is None and client.ending:
                    continue
                expected = 200 if client.ended is None else 401
                status = self.check(gateway, client)
                if status != expected:
                    self.wrong.append(f"{client.user_id}: {status}, not {expected}, at the end")

    def _ask(
        self,
        what: str,
        gateway: GatewayProcess,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Any = None,
    ) -> HttpResponse:
        try:
            answer = ask(gateway.port, method, path, headers, body)
        except OSError as error:
            answer = HttpResponse(0, {}, repr(error).encode())
        self.statuses_seen[what, answer.status] += 1
        if answer.status not in (200, 401, 503):
            self.wrong.append(f"{what}: {answer.status} {answer.body!r}")
        return answer

    def _check(self) -> None:
        self.check(random.choice(self.gateways), random.choice(self.clients))

    def _refresh(self) -> None:
        client = random.choice(self.clients)
        if client.turn.acquire(blocking=False):
            with _released(client.turn):
                if not client.ending:
                    self.refresh(random.choice(self.gateways), client)

    def _log_out(self) -> None:
        # Even numbers stay logged in; a logout that was not acknowledged is sent again.
        due = [one for one in self.clients if one.user_id % 2 and one.ended is None]
        client = next((one for one in due if one.ending), due[0] if due else None)
        if client is not None and client.turn.acquire(blocking=False):
            with _released(client.turn):
                self.log_out(random.choice(self.gateways), client)

    def _repeat(self, work: Callable[[], None], rate: float) -> None:
        while not self._over.wait(1 / rate):
            work()


@contextmanager
def _released(lock: threading.Lock) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()
