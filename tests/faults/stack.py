"""NGINX, two gateways and a Redis, each gateway with a faulty connection to Redis."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.redisserver import RedisProcess
from tests.support.faultproxy import NONE, Fault, FaultProxy
from tests.support.nginx import run_nginx
from tests.support.processes import (
    ROOT,
    GatewayProcess,
    HttpResponse,
    ask,
    free_port,
    two_replicas,
    wait_for,
    wait_until_ready,
)

STALENESS = 0.5  # seconds; half of the default, so that tests wait half as long
CONFIG = f"""
cache: {{max_staleness: {STALENESS}s}}
auth: {{direct_check: true}}
rules:
  - {{path: /public/**, allow: anyone}}
  - {{allow: authenticated}}
"""


@dataclass
class Stack:
    """Two replicas behind NGINX; `ways[n]` is the proxy between replica n and Redis."""

    redis: RedisProcess
    ways: tuple[FaultProxy, FaultProxy]
    gateways: tuple[GatewayProcess, GatewayProcess]
    port: int

    def disturb(self, fault: Fault) -> None:
        """Apply a fault to both connections to Redis; NONE ends it."""
        for way in self.ways:
            way.set(fault)

    def get(self, path: str = "/", token: str = "", port: int | None = None) -> HttpResponse:
        """Request a page, with a bearer token if given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return ask(port or self.port, "GET", path, headers)

    def check(self, replica: int, token: str) -> HttpResponse:
        """Send a check for a protected page to a replica, as NGINX would."""
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Original-URL": "http://localhost/",
            "X-Original-Host": "localhost",
            "X-Original-Method": "GET",
        }
        return ask(self.gateways[replica].port, "GET", "/authenticate", headers)

    def log_in(self, user_id: int) -> dict[str, Any]:
        """Open a session on the first replica."""
        return self.gateways[0].login(user_id)

    def refresh(self, refresh: str, replica: int = 0) -> HttpResponse:
        """Present a refresh token to a replica."""
        return ask(self.gateways[replica].port, "POST", "/refresh", body={"refresh": refresh})

    def log_out(self, access: str, replica: int = 0, *, everywhere: bool = False) -> HttpResponse:
        """End the session of an access token, or all sessions of its user, on a replica."""
        bearer = {"Authorization": f"Bearer {access}"}
        body = {"all": True} if everywhere else None
        return ask(self.gateways[replica].port, "POST", "/logout", bearer, body)

    def wait_until_ready(self) -> None:
        """Wait until both replicas are ready."""
        for gateway in self.gateways:
            wait_until_ready(gateway)


@contextmanager
def running_stack(
    folder: Path, *, config: str = CONFIG, options: Sequence[str] = (), **environ: str
) -> Iterator[Stack]:
    """Start all services; `options` are for Redis, `environ` for the gateways."""
    with ExitStack() as ends:
        redis = ends.enter_context(RedisProcess(folder / "redis", *options))
        ways = (
            ends.enter_context(FaultProxy(redis.port)),
            ends.enter_context(FaultProxy(redis.port)),
        )
        gateways = two_replicas(folder / "gateway", redis.url)
        (folder / "gateway" / "config.yml").write_text(config)
        for gateway, way in zip(gateways, ways, strict=True):
            gateway.environ = {**environ, "AUTHGW_CACHE__URL": f"redis://127.0.0.1:{way.port}/0"}
            gateway.start()
            ends.callback(gateway.kill)
        port = ends.enter_context(nginx(folder, [gateway.port for gateway in gateways]))
        stack = Stack(redis, ways, gateways, port)
        ends.callback(stack.disturb, NONE)
        stack.wait_until_ready()
        yield stack


@contextmanager
def nginx(folder: Path, gateways: Sequence[int]) -> Iterator[int]:
    """Start an app and NGINX in front of it, with gateways on these ports; yield NGINX's port."""
    sample = free_port()
    echo = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/echo_upstream.py"), str(sample)]
    )
    server, port = run_nginx(folder, gateway=gateways[0], sample=sample, others=gateways[1:])
    try:
        wait_for(sample)
        wait_for(port, "/ping")
        yield port
    finally:
        for process in (server, echo):
            process.terminate()
            process.wait(10)
