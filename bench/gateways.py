"""Test bed on loopback: Redis, gateways that share it, NGINX with the shipped files."""

import base64
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from redis import Redis

from authgw.config.schema import ServerSettings, Settings
from authgw.files.key_files import make_key
from authgw.identity.clients_file import add_client
from bench import nginx
from bench.http import Address, BenchResponse, raw_response, send
from bench.nginx import HOST, ROOT
from bench.outcome import NotMeasured
from bench.processes import find, free_port, listens, running, runs_uvloop
from bench.wrk import request

ORIGINAL = {
    "X-Original-URL": f"http://{HOST}/page?a=b",
    "X-Original-Host": HOST,
    "X-Original-Method": "GET",
}
CLIENT = "bench"
_RULES = [{"host": HOST, "path": "/**", "allow": "authenticated"}]
# Compiled modules are written and read, as those of an installed package are read: a process that
# compiles its modules keeps the memory for it. An empty value counts as unset.
_ENVIRON = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}


@dataclass(frozen=True, slots=True)
class BenchRedis:
    """A redis-server started by the benchmark."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """The address in the form of `cache.url`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "Redis":
        """Return a client for the benchmark itself."""
        return Redis(port=self.port)


@dataclass(frozen=True, slots=True)
class BenchGateway:
    """A replica at `address`, which equals `port` unless it has a unix socket.

    `basic` is the header of a trusted backend that may open any session.
    """

    pid: int
    port: int
    address: Address
    keys: Path
    basic: Mapping[str, str]

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> BenchResponse:
        """Send a POST request with a JSON body."""
        return send(self.address, "POST", path, headers, json.dumps(body).encode())

    def login(self, user_id: int = 1) -> dict[str, Any]:
        """Log in and return the new pair of tokens.

        Raises:
            NotMeasured: the login was refused.
        """
        answer = self.post("/login", {"user_id": user_id}, self.basic)
        if answer.status != 200:
            raise NotMeasured(f"a login was refused with {answer.status}: nothing measured")
        pair: dict[str, Any] = json.loads(answer.body)
        return pair

    def response_to(self, headers: Mapping[str, str]) -> bytes:
        """Return the bytes of a response of /authenticate.

        Raises:
            NotMeasured: the status is not 200.
        """
        response = raw_response(self.address, request("GET", "/authenticate", headers))
        if not response.startswith(b"HTTP/1.1 200 "):
            status_line = response.partition(b"\r\n")[0].decode("latin-1")
            raise NotMeasured(f"a check was refused with {status_line}: nothing measured")
        return response


@dataclass(frozen=True, slots=True)
class Lab:
    """Starts servers, each in a separate directory, and stops them when it is closed."""

    stack: ExitStack
    root: Path

    def directory(self, name: str) -> Path:
        """Create a new directory."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.root))

    def redis(self) -> BenchRedis:
        """Start a Redis without persistence."""
        port = free_port()
        options = ["--bind", "127.0.0.1", "--save", "", "--port", str(port)]
        command = [find("redis-server"), *options]
        pid = self._run(command, self.directory("redis"), port)
        return BenchRedis(port, pid)

    def fleet(self, store_url: str) -> "ReplicaFleet":
        """Create the keys and the trusted backend that replicas on this store share."""
        directory = self.directory("shared")
        make_key(directory / "keys", "ES256")
        secret = add_client(directory / "clients.yml", CLIENT, subjects="*", groups=())
        basic = base64.b64encode(f"{CLIENT}:{secret}".encode()).decode()
        return ReplicaFleet(self, directory, store_url, {"Authorization": f"Basic {basic}"})

    def imitation(self, kind: str, answer: bytes, uvloop: bool) -> tuple[int, int]:
        """Start a server of bench.servers that sends this response; return port and pid."""
        directory, port = self.directory(kind), free_port()
        (directory / "answer").write_bytes(answer)
        loop = "uvloop" if uvloop else "asyncio"
        command = [sys.executable, "-m", "bench.servers", kind, str(port), "answer", loop]
        return port, self._run(command, directory, port, {"PYTHONPATH": str(ROOT)})

    def provider(self) -> int:
        """Start an identity provider (bench.recorded_provider); return its port."""
        directory, port = self.directory("provider"), free_port()
        command = [sys.executable, "-m", "bench.recorded_provider", str(port)]
        self._run(command, directory, port, {"PYTHONPATH": str(ROOT)})
        return port

    def app(self) -> tuple[int, int]:
        """Start an upstream of minimal cost, NGINX with status 200; return port and pid."""
        directory, port = self.directory("app"), free_port()
        return port, self._run(nginx.app(directory, port), directory, port)

    def front(
        self, gateways: Sequence[Address], app: int, *, protected: bool = True, cached: bool = False
    ) -> tuple[int, int]:
        """Start NGINX with the shipped files and changed ports; return port and pid."""
        directory, port = self.directory("front"), free_port()
        command = nginx.front(directory, port, gateways, app)
        if not protected:
            nginx.unprotect(directory)
        if cached:
            nginx.cache(directory)
        return port, self._run(command, directory, port)

    def _run(
        self,
        command: list[str],
        directory: Path,
        port: int,
        environ: Mapping[str, str] | None = None,
    ) -> int:
        return self.stack.enter_context(
            running(command, directory, partial(listens, port), environ)
        )


@dataclass(frozen=True, slots=True)
class ReplicaFleet:
    """Starts replicas that share keys, a trusted backend and a store."""

    lab: Lab
    directory: Path
    store_url: str
    basic: Mapping[str, str]

    def replica(
        self,
        *,
        store_url: str = "",
        socket: bool = False,
        counted: bool = True,
        settings: Mapping[str, dict[str, Any]] | None = None,
    ) -> BenchGateway:
        """Start a replica; `settings` are added to its configuration.

        `store_url` is an alternative address of the same store. A replica that is not `counted`
        is the gateway of bench.uncounted.
        """
        directory, port = self.lab.directory("gateway"), free_port()
        address = directory / "socket" if socket else port
        config = _config(self.directory, port, store_url or self.store_url, address)
        for section, keys in (settings or {}).items():
            config.setdefault(section, {}).update(keys)
        (directory / "config.yml").write_text(yaml.safe_dump(config))
        program = [str(Path(sys.executable).parent / "authgw")]
        if not counted:
            program = [sys.executable, "-m", "bench.uncounted"]
        ready = partial(_is_ready, address)
        started = running([*program, "serve"], directory, ready, _ENVIRON)
        pid = self.lab.stack.enter_context(started)
        return BenchGateway(pid, port, address, self.directory / "keys", self.basic)


@contextmanager
def lab() -> Iterator[Lab]:
    """Run a test bed; its servers and files are removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="authgw-bench-") as root, ExitStack() as stack:
        yield Lab(stack, Path(root))


def has_socket() -> bool:
    """Return True if this gateway can listen on a unix socket."""
    return "socket" in ServerSettings.model_fields


def loop_of(gateway: BenchGateway) -> str:
    """Return the name of the gateway's event loop."""
    return "uvloop" if runs_uvloop(gateway.pid) else "asyncio"


def bearer(token: str) -> dict[str, str]:
    """Return the header with an access token."""
    return {"Authorization": f"Bearer {token}"}


def _config(shared: Path, port: int, store_url: str, address: Address) -> dict[str, Any]:
    server: dict[str, Any] = {"port": port, "drain": 0}
    if isinstance(address, Path):
        server |= {"socket": str(address), "trusted_proxies": ["127.0.0.0/8", "unix"]}
    # Each replica serves its metrics on a separate port, if it supports metrics.
    metrics = {"metrics": {"port": free_port()}} if "metrics" in Settings.model_fields else {}
    return {
        **metrics,
        "server": server,
        "cache": {"url": store_url},
        "auth": {
            "keys": str(shared / "keys"),
            "clients": str(shared / "clients.yml"),
            "direct_check": True,
        },
        "rules": _RULES,
    }


def _is_ready(address: Address) -> bool:
    try:
        return send(address, "GET", "/readyz", {}).status == 200
    except OSError:
        return False
