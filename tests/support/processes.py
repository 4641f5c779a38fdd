"""Real processes: ports, commands, gateways, and requests to them."""

import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authgw.cli import main

ROOT = Path(__file__).parents[2]
AUTHGW = Path(sys.executable).parent / "authgw"


# Every token and secret that went over the wire, and every file that a process wrote to.
ISSUED: set[str] = set()
LOGS: set[Path] = set()


@dataclass
class HttpResponse:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def answer_of(answer: http.client.HTTPResponse) -> HttpResponse:
    """All of it; a header that came twice as RFC 9110 section 5.3 reads it."""
    said = {name: ", ".join(answer.headers.get_all(name, [])) for name in answer.headers}
    return HttpResponse(answer.status, said, answer.read())


def ask(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
) -> HttpResponse:
    """Send a request on a new connection; a body of another type than bytes is sent as JSON."""
    sent = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    ISSUED.update(value.split()[-1] for name, value in sent.items() if name == "Authorization")
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request(method, path, body, {"Host": "localhost", **sent})
        answer = link.getresponse()
        seen = answer_of(answer)
        ISSUED.update(
            re.findall(r'"(?:access|refresh)(?:_token)?": "([^"]+)"', seen.body.decode("latin-1"))
        )
        return seen
    finally:
        link.close()


def wait_for(port: int, path: str = "/healthz") -> None:
    for _ in range(1000):
        try:
            ask(port, "GET", path)
            return
        except OSError:
            time.sleep(0.03)
    pytest.fail(f"nothing answers on port {port}")


def wait_until_ready(gateway: "GatewayProcess") -> None:
    for _ in range(200):
        if ask(gateway.port, "GET", "/readyz").status == 200:
            return
        time.sleep(0.03)
    pytest.fail(f"not ready:\n{gateway.log}")


def authgw(
    folder: Path, *words: str, stdin: str = "", **environ: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(AUTHGW), *words],
        cwd=folder,
        env=_environ(environ),
        input=stdin,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def authgw_here(folder: Path, *words: str, stdin: str | bytes = "", **environ: str) -> Result:
    """Run a command within this process, which saves the start of another."""
    hidden = dict.fromkeys(name for name in os.environ if name.startswith("AUTHGW_"))
    with contextlib.chdir(folder):
        return CliRunner().invoke(main, words, input=stdin, env={**hidden, **environ})


def prepare(folder: Path, *words: str, stdin: str = "", **environ: str) -> str:
    """Run a command that a test only prepares itself with; return its output."""
    done = authgw_here(folder, *words, stdin=stdin, **environ)
    assert done.exit_code == 0, done.output
    return done.stdout


def _environ(extra: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHGW_")}
    return {**kept, **extra}


def untraced(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which coverage does not trace a process."""
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


@dataclass
class GatewayProcess:
    """A gateway process in a folder of its own."""

    folder: Path
    port: int
    environ: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    covered: bool = True

    def start(self) -> None:
        LOGS.add(self.folder / "log")
        environ = _environ({"AUTHGW_SERVER__PORT": str(self.port), **self.environ})
        if not self.covered:
            environ = untraced(environ)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(AUTHGW), "serve"],
                cwd=self.folder,
                env=environ,
                stdout=log,
                stderr=log,
            )
        wait_for(self.port)

    def wait_until_ready(self) -> None:
        wait_until_ready(self)

    def stop(self, number: int = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def kill(self) -> None:
        """End it at once (SIGKILL), if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    @property
    def log(self) -> str:
        # A line is written just after the response that it is about.
        time.sleep(0.05)
        return (self.folder / "log").read_text()

    @property
    def basic(self) -> dict[str, str]:
        pair = (self.folder / "secrets" / "demo-client").read_text().strip()
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def login(self, user_id: int = 1, port: int | None = None, **more: Any) -> dict[str, Any]:
        body = {"user_id": user_id, **more}
        answer = ask(port or self.port, "POST", "/login", self.basic, body)
        assert answer.status == 200, answer
        pair: dict[str, Any] = answer.json()
        return pair


def make_gateway(folder: Path, **environ: str) -> GatewayProcess:
    """A gateway with a demo client, not started yet."""
    folder.mkdir(exist_ok=True)
    granted = ("--subjects", "*", "--groups", "*")
    prepare(folder, "client", "add", "demo", *granted, "--save", "secrets/demo-client")
    return GatewayProcess(folder, free_port(), dict(environ))


def two_replicas(folder: Path, store: str) -> tuple[GatewayProcess, GatewayProcess]:
    """Return two gateways with the same folder and Redis database, not started yet.

    Replicas with other keys announce themselves in their own database only.
    """
    first = make_gateway(folder, AUTHGW_CACHE__URL=store)
    prepare(folder, "key", "init")
    return first, GatewayProcess(folder, free_port(), dict(first.environ))


def free_port() -> int:
    """Return a port below those that the system gives to connections, which could take it."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
