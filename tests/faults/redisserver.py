"""A separate redis-server that preserves acknowledged writes, whatever signal it receives."""

import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType

import pytest
from redis import Redis
from redis.exceptions import BusyLoadingError

from tests.support.processes import free_port
from tests.support.redis import wait_for_redis

_KEEPING = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")


class RedisProcess:
    """A redis-server on a loopback port, with its files in `folder`."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options

    def __enter__(self) -> "RedisProcess":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server and wait until it responds."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail("redis-server is missing: apt-get install redis-server")
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, *place, *_KEEPING, *self._options], stdout=log, stderr=log
            )
        wait_for_redis(self.port, self.folder)
        while True:
            try:
                self.client().ping()
                return
            except BusyLoadingError:
                continue

    def kill(self) -> None:
        """End the server immediately (SIGKILL)."""
        self._process.kill()
        self._process.wait(10)

    def freeze(self) -> None:
        """Suspend the server (SIGSTOP) until `thaw`."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the server (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> "Redis":
        """Return a client with a direct connection."""
        return Redis(port=self.port, socket_timeout=10)

    def sessions(self) -> dict[bytes, bytes]:
        """Return every session record by its key."""
        with self.client() as client:
            keys = sorted(client.scan_iter("authgw:*:s:*", count=1000))
            records = client.mget(keys) if keys else []
            return {key: record for key, record in zip(keys, records, strict=True) if record}
