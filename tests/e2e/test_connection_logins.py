"""NTLM and Negotiate authenticate a connection: with the recipe, no request inherits a login."""

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nginx import run_nginx
from tests.support.nginx_versions import NGINXES
from tests.support.processes import ask, free_port, wait_for

pytestmark = pytest.mark.alone

SITE = """\
upstream intranet {{ server 127.0.0.1:{app}; {recipe} }}
server {{
    listen 4000;
    include authgw/protect.conf;
    include authgw/gateway.conf;
    location / {{
        auth_request off;
        include authgw/identity.conf;
        proxy_pass http://intranet;
    }}
}}
"""
RECIPE = "keepalive_requests 1;"


class Intranet(socketserver.StreamRequestHandler):
    """An app that authenticates a connection by its first Authorization, and never closes it."""

    def handle(self) -> None:
        user = "nobody"
        while line := self.rfile.readline():
            head = [line]
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                head.append(line)
            for header_line in head:
                name, _, value = header_line.decode("latin-1").partition(": ")
                if name.lower() == "authorization":
                    user = value.split(" ")[1].strip()
            body = user.encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class ThreadedTcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def app() -> Iterator[int]:
    with ThreadedTcpServer(("127.0.0.1", 0), Intranet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def users(folder: Path, program: list[str], app: int, recipe: str) -> set[str]:
    """Users to whom the app attributes requests without credentials, after alice's login."""
    folder.mkdir()
    site = SITE.format(app=app, recipe=recipe)
    closed = free_port()
    process, port = run_nginx(folder, gateway=closed, sample=closed, program=program, site=site)
    try:
        wait_for(port, "/")
        users_seen = set()
        for _ in range(5):
            ask(port, "GET", "/", {"Authorization": "Negotiate alice"})
            users_seen.add(ask(port, "GET", "/", {}).body.decode())
        return users_seen
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("name", NGINXES)
def test_no_request_inherits_another_login(name: str, app: int, tmp_path: Path) -> None:
    program = NGINXES[name]()
    # The attack works; NGINX from 1.29.7 on reuses connections even without a directive.
    assert "alice" in users(tmp_path / "kept", program, app, "keepalive 8;")
    for number, recipe in enumerate((RECIPE, f"keepalive 8; {RECIPE}")):
        assert users(tmp_path / str(number), program, app, recipe) == {"nobody"}
