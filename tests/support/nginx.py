"""NGINX on the shipped files, only ports changed, in front of a gateway and an app."""

import getpass
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.nginx_versions import system
from tests.support.processes import (
    LOGS,
    ROOT,
    GatewayProcess,
    HttpResponse,
    ask,
    free_port,
    make_gateway,
    wait_for,
)

KEPT = "/dev/shm/authgw-answers"  # noqa: S108  where cache.conf keeps answers


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

    `site` is another site, on its own port; `others` are the ports of more gateways;
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
        # No NGINX uses the cache of another NGINX.
        file.write_text(text.replace(KEPT, str(folder / "answers")))
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
class NginxFront:
    """NGINX in front of a gateway and an echoing app."""

    gateway: GatewayProcess
    port: int
    folder: Path

    def get(self, path: str = "/", token: str = "", **headers: str) -> HttpResponse:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        named = {name.replace("__", "-"): value for name, value in headers.items()}
        return ask(self.port, "GET", path, {**bearer, **named})

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def running_site(
    folder: Path,
    extra: str = "",
    config: str = "",
    program: Sequence[str] = (),
    site: str = "",
    front: str = "",
) -> Iterator[NginxFront]:
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
        yield NginxFront(made, port, folder)
    finally:
        nginx.terminate()
        nginx.wait(10)
        echo.terminate()
        echo.wait(10)
        if made.process is not None and made.process.poll() is None:
            made.process.send_signal(signal.SIGCONT)
            made.stop()


SPELLINGS = [
    "Remote-User",
    "remote-user",
    "REMOTE-USER",
    "Remote_User",
    "remote_user",
    "REMOTE_USER",
    "Remote.User",
    "Remote-Groups",
    "Remote_Groups",
    "Remote-Email",
    "Remote-Name",
    "remote.name",
]


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as link:
        link.sendall(request)
        answer = b""
        while chunk := link.recv(65536):
            answer += chunk
        return answer
