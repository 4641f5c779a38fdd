"""A laboratory on loopback: Redis, gateways that share it, NGINX with the shipped files."""

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
from bench.http import Address, BenchResponse, ask, raw_answer
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


@dataclass(frozen=True, slots=True)
class BenchRedis:
    """A redis-server of our own."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its address as `cache.url` takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "Redis":
        """A connection for the benchmark itself."""
        return Redis(port=self.port)


@dataclass(frozen=True, slots=True)
class BenchGateway:
    """A replica, reached at `address`, which is `port` unless it has a unix socket.

    `basic` is the header of a client that may open any session.
    """

    pid: int
    port: int
    address: Address
    keys: Path
    basic: Mapping[str, str]

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> BenchResponse:
        """Send JSON by POST."""
        return ask(self.address, "POST", path, headers, json.dumps(body).encode())

    def login(self, user_id: int = 1) -> dict[str, Any]:
        """A new pair of tokens.

        Raises:
            NotMeasured: the log-in was refused.
        """
        answer = self.post("/login", {"user_id": user_id}, self.basic)
        if answer.status != 200:
            raise NotMeasured(f"a log-in was refused with {answer.status}: nothing measured")
        pair: dict[str, Any] = json.loads(answer.body)
        return pair

    def answer_to(self, headers: Mapping[str, str]) -> bytes:
        """Return the bytes of a response of /authenticate, which must be a 200."""
        answer = raw_answer(self.address, request("GET", "/authenticate", headers))
        if not answer.startswith(b"HTTP/1.1 200 "):
            said = answer.partition(b"\r\n")[0].decode("latin-1")
            raise NotMeasured(f"a check was refused with {said}: nothing measured")
        return answer


@dataclass(frozen=True, slots=True)
class Lab:
    """Starts servers that end with it, each in a folder of its own."""

    stack: ExitStack
    root: Path

    def folder(self, name: str) -> Path:
        """A new folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.root))

    def redis(self) -> BenchRedis:
        """A Redis that saves nothing."""
        port = free_port()
        options = ["--bind", "127.0.0.1", "--save", "", "--port", str(port)]
        command = [find("redis-server"), *options]
        pid = self._run(command, self.folder("redis"), port)
        return BenchRedis(port, pid)

    def fleet(self, store_url: str) -> "ReplicaFleet":
        """Return the keys and the client that replicas on this store share."""
        folder = self.folder("shared")
        make_key(folder / "keys", "ES256")
        secret = add_client(folder / "clients.yml", CLIENT, subjects="*", groups=())
        basic = base64.b64encode(f"{CLIENT}:{secret}".encode()).decode()
        return ReplicaFleet(self, folder, store_url, {"Authorization": f"Basic {basic}"})

    def imitation(self, kind: str, answer: bytes, uvloop: bool) -> tuple[int, int]:
        """A server of bench.servers that gives this answer; its port and pid."""
        folder, port = self.folder(kind), free_port()
        (folder / "answer").write_bytes(answer)
        loop = "uvloop" if uvloop else "asyncio"
        command = [sys.executable, "-m", "bench.servers", kind, str(port), "answer", loop]
        return port, self._run(command, folder, port, {"PYTHONPATH": str(ROOT)})

    def app(self) -> tuple[int, int]:
        """Start a cheap upstream, NGINX with a constant 200; return its port and pid."""
        folder, port = self.folder("app"), free_port()
        return port, self._run(nginx.app(folder, port), folder, port)

    def front(
        self, gateways: Sequence[Address], app: int, *, protected: bool = True, cached: bool = False
    ) -> tuple[int, int]:
        """NGINX with the shipped files, ports changed, before gateways and app; port and pid."""
        folder, port = self.folder("front"), free_port()
        command = nginx.front(folder, port, gateways, app)
        if not protected:
            nginx.unprotect(folder)
        if cached:
            nginx.cache(folder)
        return port, self._run(command, folder, port)

    def _run(
        self, command: list[str], folder: Path, port: int, environ: Mapping[str, str] | None = None
    ) -> int:
        return self.stack.enter_context(running(command, folder, partial(listens, port), environ))


@dataclass(frozen=True, slots=True)
class ReplicaFleet:
    """Starts replicas that share keys, a client and a store."""

    lab: Lab
    folder: Path
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
        """Start a replica; `store_url` is another URL of the store, `settings` add to the file.

        A replica that is not `counted` runs bench.uncounted.
        """
        folder, port = self.lab.folder("gateway"), free_port()
        address = folder / "socket" if socket else port
        config = _config(self.folder, port, store_url or self.store_url, address)
        for section, keys in (settings or {}).items():
            config.setdefault(section, {}).update(keys)
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        program = [str(Path(sys.executable).parent / "authgw")]
        if not counted:
            program = [sys.executable, "-m", "bench.uncounted"]
        ready = partial(_is_ready, address)
        started = running([*program, "serve"], folder, ready, {"PYTHONPATH": str(ROOT)})
        pid = self.lab.stack.enter_context(started)
        return BenchGateway(pid, port, address, self.folder / "keys", self.basic)


@contextmanager
def lab() -> Iterator[Lab]:
    """A laboratory that leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="authgw-bench-") as root, ExitStack() as stack:
        yield Lab(stack, Path(root))


def has_socket() -> bool:
    """Return True if this gateway can listen on a unix socket."""
    return "socket" in ServerSettings.model_fields


def loop_of(gateway: BenchGateway) -> str:
    """The name of the event loop that this gateway runs."""
    return "uvloop" if runs_uvloop(gateway.pid) else "asyncio"


def bearer(token: str) -> dict[str, str]:
    """The header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}


def _config(shared: Path, port: int, store_url: str, address: Address) -> dict[str, Any]:
    server: dict[str, Any] = {"port": port, "drain": 0}
    if isinstance(address, Path):
        server |= {"socket": str(address), "trusted_proxies": ["127.0.0.0/8", "unix"]}
    # Each replica serves its metrics on a port of its own, where it has any.
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
        return ask(address, "GET", "/readyz", {}).status == 200
    except OSError:
        return False
