"""Real processes: the gateway, an app, and NGINX with the shipped files, only ports changed."""

import contextlib
import getpass
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authgw.cli import main
from tests.contract.conftest import free_port
from tests.contract.conftest import redis_url as redis_url
from tests.support.leaks import leaked
from tests.support.nginx_versions import system

ROOT = Path(__file__).parents[2]
AUTHGW = Path(sys.executable).parent / "authgw"


# Every token and secret that went over the wire, and every file that a process wrote to.
ISSUED: set[str] = set()
LOGS: set[Path] = set()


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_ever_written() -> Iterator[None]:
    yield
    written = "".join(log.read_text(errors="replace") for log in LOGS if log.exists())
    keys = [key.read_text() for log in LOGS for key in log.parent.glob("secrets/**/*.pem")]
    pem = {line for key in keys for line in key.splitlines() if len(line) > 40}
    pairs = [file.read_text() for log in LOGS for file in log.parent.glob("secrets/demo-client")]
    clients = {pair.strip().partition(":")[2] for pair in pairs}
    found = [secret[:12] for secret in leaked(ISSUED | pem | clients, written)]
    assert not found, f"in the logs, beginning with: {found}"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def answer_of(answer: http.client.HTTPResponse) -> Answer:
    """All of it; a header that came twice as RFC 9110 section 5.3 reads it."""
    said = {name: ", ".join(answer.headers.get_all(name, [])) for name in answer.headers}
    return Answer(answer.status, said, answer.read())


def ask(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
) -> Answer:
    """One request on a connection of its own; a body that is no bytes is sent as JSON."""
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
    for _ in range(300):
        try:
            ask(port, "GET", path)
            return
        except OSError:
            time.sleep(0.03)
    pytest.fail(f"nothing answers on port {port}")


def wait_until_ready(gateway: "Gateway") -> None:
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


def authgw_here(folder: Path, *words: str, **environ: str) -> Result:
    """The same within this process, which is quicker; its output is not split."""
    with contextlib.chdir(folder):
        return CliRunner().invoke(main, words, env=environ)


def _environ(extra: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHGW_")}
    return {**kept, **extra}


@dataclass
class Gateway:
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
            environ.pop("COVERAGE_PROCESS_CONFIG", None)
            environ.pop("COVERAGE_PROCESS_START", None)
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


def make_gateway(folder: Path, **environ: str) -> Gateway:
    """A gateway with a demo client, not started yet."""
    folder.mkdir(exist_ok=True)
    made = authgw(
        folder,
        "client",
        "add",
        "demo",
        "--subjects",
        "*",
        "--groups",
        "*",
        "--save",
        "secrets/demo-client",
    )
    assert made.returncode == 0, made.stderr
    return Gateway(folder, free_port(), dict(environ))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = make_gateway(tmp_path / "gateway")
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def two_replicas(folder: Path, store: str) -> tuple[Gateway, Gateway]:
    """Two gateways with one folder on one Redis database, not started yet.

    Replicas with other keys announce themselves in their own database only.
    """
    first = make_gateway(folder, AUTHGW_CACHE__URL=store)
    assert authgw(folder, "key", "init").returncode == 0
    return first, Gateway(folder, free_port(), dict(first.environ))


def run_nginx(
    folder: Path,
    *,
    gateway: int,
    sample: int,
    extra: str = "",
    names: str = "",
    site: str = "",
    port: int = 0,
    others: Sequence[int] = (),
    program: Sequence[str] = (),
    front: str = "",
) -> tuple[Any, int]:
    """Start NGINX on the shipped files; `extra` and host `names` are put into the site.

    `site` is another one to serve, on its own port; `others` are the ports of more gateways;
    `program` starts another NGINX than the system's, `front` goes into the http block.
    """
    port = port or free_port()
    shutil.copytree(ROOT / "nginx", folder / "conf", dirs_exist_ok=True)
    if site:
        (folder / "conf" / "site.conf").write_text(site)
    main = folder / "conf" / "nginx.conf"
    main.write_text(
        main.read_text().replace("    include site.conf;", f"{front}    include site.conf;")
    )
    ports = {"4000": port, "8080": gateway, "8081": sample}
    for file in (folder / "conf").rglob("*.conf"):
        text = file.read_text()
        for old, new in ports.items():
            text = re.sub(rf"\b(listen |127\.0\.0\.1:){old}\b", rf"\g<1>{new}", text)
        text = text.replace("listen ", "listen 127.0.0.1:") if file.name == "site.conf" else text
        lines = [f"    server 127.0.0.1:{one} max_fails=0;\n" for one in (gateway, *others)]
        text = text.replace(lines[0], "".join(lines))
        if file.name == "site.conf":
            text = text.replace("    location / {", f"{extra}\n    location / {{")
            text = text.replace("server_name localhost", f"server_name {names} localhost")
        file.write_text(text)
    LOGS.add(folder / "log")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(program or system()),
                "-p",
                str(folder),
                "-c",
                str(folder / "conf" / "nginx.conf"),
                "-e",
                "stderr",
                "-g",
                f"daemon off; user {getpass.getuser()};",
            ],
            stdout=log,
            stderr=log,
        )
    return process, port


@dataclass
class Site:
    """NGINX in front of a gateway and an echoing app."""

    gateway: Gateway
    port: int
    folder: Path

    def get(self, path: str = "/", token: str = "", **headers: str) -> Answer:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        named = {name.replace("__", "-"): value for name, value in headers.items()}
        return ask(self.port, "GET", path, {**bearer, **named})

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from running_site(tmp_path_factory.mktemp("site"))


def running_site(
    folder: Path,
    extra: str = "",
    config: str = "",
    program: Sequence[str] = (),
    site: str = "",
    front: str = "",
) -> Iterator[Site]:
    made = make_gateway(folder / "gateway")
    (made.folder / "config.yml").write_text(config)
    made.start()
    sample = free_port()
    echo = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/echo_upstream.py"), str(sample)]
    )
    nginx, port = run_nginx(
        folder,
        gateway=made.port,
        sample=sample,
        extra=extra,
        program=program,
        site=site,
        front=front,
    )
    try:
        wait_for(sample)
        wait_for(port, "/ping")
        yield Site(made, port, folder)
    finally:
        nginx.terminate()
        nginx.wait(10)
        echo.terminate()
        echo.wait(10)
        if made.process is not None and made.process.poll() is None:
            made.process.send_signal(signal.SIGCONT)
            made.stop()
