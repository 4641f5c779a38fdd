"""Holes that the doctor reports, proved by requests through a real NGINX."""

import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support.doctor import copy_site, doctor_findings
from tests.support.doctor_bypass_cases import BYPASSES, TRANSPORTS
from tests.support.doctor_cases import DumpCase, in_server, public
from tests.support.doctor_override_cases import OVERRIDES
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

_COOKIE = "__Host-authgw=a-live-session"
# NGINX discards a body that is too large, and the app would wait for the missing bytes.
_NO_BODY = 'proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass'


@dataclass
class Field:
    """A gateway and an app behind the NGINX of a test, with access tokens of two users."""

    gateway: GatewayProcess
    app: int
    tokens: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def upstreams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    running = make_gateway(tmp_path_factory.mktemp("gateway"))
    running.start()
    app = free_port()
    words = [sys.executable, str(ROOT / "tests/support/echo_upstream.py"), str(app)]
    echo = subprocess.Popen(words)
    wait_for(app)
    tokens = {
        name: running.login(number)["access"] for number, name in enumerate(("alice", "bob"), 1)
    }
    yield Field(running, app, tokens)
    echo.terminate()
    echo.wait(10)
    running.stop()


@dataclass(frozen=True)
class Proof:
    """A request that proves a hole; only the broken site's response contains `evidence`."""

    case: DumpCase
    evidence: str
    path: str = "/"
    method: str = "GET"
    user: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    previous_user: str = ""  # sends the same request first
    body: bytes | None = None


def forged(line: str) -> DumpCase:
    """Make a case of a line in the server, followed by a public location of the app."""
    app = "include authgw/identity.conf; proxy_pass http://sample;"
    return in_server(f"{line}\n    {public(app)}", "overwrites")


_PAGES = (
    "location /page/ { auth_request off; root pages; %s }\n"
    "    location /menu/ { include authgw/identity.conf; proxy_pass http://sample; }"
)


def _without_gateway(case: DumpCase) -> DumpCase:
    """Make the gateway of a case unreachable."""
    upstream = ("authgw/upstream.conf", "127.0.0.1:8080", "127.0.0.1:1")
    return replace(case, more=(upstream,))


PROOFS = {
    "the client's cookie": Proof(
        OVERRIDES["the client's cookie"], _COOKIE, user="alice", headers={"Cookie": _COOKIE}
    ),
    "the cookie in another header": Proof(
        OVERRIDES["the cookie in another header"],
        _COOKIE,
        user="alice",
        headers={"Cookie": _COOKIE},
    ),
    "Cookie left out of the recipe": Proof(
        OVERRIDES["Cookie left out"], _COOKIE, user="alice", headers={"Cookie": _COOKIE}
    ),
    "the client's X-Forwarded-For": Proof(
        OVERRIDES["the client's X-Forwarded-For"],
        '["X-Forwarded-For", "9.9.9.9, ',
        user="alice",
        headers={"X-Forwarded-For": "9.9.9.9"},
    ),
    "another method": Proof(OVERRIDES["another method"], '"method": "POST"', user="alice"),
    "identity by a set variable": Proof(
        forged("set $authgw_user $arg_user;"), '["Remote-User", "root"]', "/public/?user=root"
    ),
    "identity by a capture": Proof(
        in_server(
            "location ~ ^/u/(?<authgw_user>[a-z]+) { auth_request off;\n"
            "        include authgw/identity.conf; proxy_pass http://sample; }",
            "overwrites $authgw_user",
        ),
        '["Remote-User", "root"]',
        "/u/root",
    ),
    "a cache shared by users": Proof(
        BYPASSES["a cache shared by users"],
        '["Remote-User", "1"]',
        user="bob",
        previous_user="alice",
    ),
    "an alias without a slash": Proof(
        in_server("location /files { alias pages/page/; }", "leads out"),
        "a secret file",
        "/files../secret",
        user="alice",
    ),
    "a server that the client names": Proof(
        BYPASSES["an upstream that the client names"],
        '"openapi":',
        "/openapi.json?to=127.0.0.1:GATEWAY",
        user="alice",
    ),
    "a rewrite past the gateway": Proof(
        BYPASSES["a rewrite past the gateway"], '"path": "/inner/secret"', "/x/secret"
    ),
    "a rewrite of the path": Proof(
        BYPASSES["a rewrite to another path"],
        '"path": "/admin"',
        "/app/admin",
        user="alice",
    ),
    "a status before the check": Proof(
        DumpCase(
            "site.conf",
            "client_max_body_size 100m;",
            "client_max_body_size 1;",
            BYPASSES["a status before the check"].message,
            more=(
                (
                    "site.conf",
                    BYPASSES["a status before the check"].old,
                    BYPASSES["a status before the check"].new.replace("proxy_pass", _NO_BODY, 1),
                ),
            ),
        ),
        '"path": "/secret"',
        "/secret",
        "POST",
        body=b"large",
    ),
    "ssi includes a protected location": Proof(
        in_server(_PAGES % "ssi on;", "text of a response can include any location"),
        '"path": "/menu/x"',
        "/page/ssi.html",
    ),
    "a response with a protected body": Proof(
        in_server(_PAGES % "add_after_body /menu/x;", "includes this in responses"),
        '"path": "/menu/x"',
        "/page/plain.html",
    ),
    "a check in another location": Proof(
        BYPASSES["a check in another location"], '"path": "/secret"', "/secret"
    ),
    "a check of another path": Proof(
        BYPASSES["a check of another path"], '"path": "/secret"', "/secret"
    ),
    "a page while the gateway is unavailable": Proof(
        _without_gateway(BYPASSES["a page while the gateway is unavailable"]),
        '"path": "/secret"',
        "/secret",
    ),
    "a page of status 200 while the gateway is unavailable": Proof(
        _without_gateway(BYPASSES["a page of status 200 while the gateway is unavailable"]),
        '"path": "/secret"',
        "/secret",
    ),
    "a token for all clients": Proof(
        BYPASSES["a token for all clients"], '["Remote-User", "1"]', "/secret"
    ),
    "addresses set by all peers": Proof(
        BYPASSES["addresses set by all peers"],
        '["X-Forwarded-For", "9.9.9.9"]',
        user="alice",
        headers={"X-Real-IP": "9.9.9.9"},
    ),
    "sessions in a response": Proof(
        BYPASSES["sessions in a response"], _COOKIE, user="alice", headers={"Cookie": _COOKIE}
    ),
}


@pytest.mark.parametrize("name", PROOFS)
def test_request_proves_the_hole(tmp_path: Path, upstreams: Field, name: str) -> None:
    proof = PROOFS[name]
    (tmp_path / "shipped").mkdir()
    (tmp_path / "broken").mkdir()
    shipped = send_through(tmp_path / "shipped", upstreams, proof, None)
    broken = send_through(tmp_path / "broken", upstreams, proof, proof.case)
    assert proof.evidence in text_of(broken), broken
    assert proof.evidence not in text_of(shipped), shipped


def text_of(answer: HttpResponse) -> str:
    return f"{answer.headers} {answer.body.decode()}"


@pytest.mark.parametrize("name", PROOFS)
def test_doctor_reports_the_hole(tmp_path: Path, name: str) -> None:
    conf = copy_site(tmp_path)
    PROOFS[name].case.write(conf)
    findings = doctor_findings(tmp_path, conf, PROOFS[name].case)
    assert any(": hole: " in each and PROOFS[name].case.message in each for each in findings)


def send_through(
    directory: Path, upstreams: Field, proof: Proof, case: DumpCase | None
) -> HttpResponse:
    """Send the request of a proof through the shipped site, or through the site of `case`."""
    conf = copy_site(directory)
    if case is not None:
        case.write(conf)
    pages = directory / "pages" / "page"
    pages.mkdir(parents=True)
    (pages / "ssi.html").write_text('a <!--#include virtual="/menu/x" -->')
    (pages / "plain.html").write_text("a")
    (directory / "pages" / "away.html").write_text("back soon")
    (directory / "pages" / "secret").write_text("a secret file")
    with RunningNginx(directory, conf, upstreams) as port:
        if proof.previous_user:
            send(port, proof, upstreams, proof.previous_user)
        return send(port, proof, upstreams, proof.user)


def send(port: int, proof: Proof, upstreams: Field, user: str) -> HttpResponse:
    bearer = {"Authorization": f"Bearer {upstreams.tokens[user]}"} if user else {}
    path = proof.path.replace("GATEWAY", str(upstreams.gateway.port))
    return ask(port, proof.method, path, {**bearer, **proof.headers}, proof.body)


class RunningNginx:
    """Run NGINX with a configuration, adapted to the ports of this gateway and app."""

    def __init__(self, directory: Path, conf: Path, upstreams: Field) -> None:
        self.directory, self.conf, self.port = directory, conf, free_port()
        ports = {"4000": self.port, "8080": upstreams.gateway.port, "8081": upstreams.app}
        for file in conf.rglob("*.conf"):
            text = file.read_text().replace("Bearer abc", f"Bearer {upstreams.tokens['alice']}")
            text = re.sub(r"\b(root|alias) pages", rf"\1 {directory}/pages", text)
            for old, new in ports.items():
                text = re.sub(rf"\b(listen |127\.0\.0\.1:){old}\b", rf"\g<1>{new}", text)
            file.write_text(text)

    def __enter__(self) -> int:
        words = [*system(), "-p", str(self.directory), "-c", str(self.conf / "nginx.conf")]
        LOGS.add(self.directory / "log")
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*words, "-e", "stderr", "-g", "daemon off; user root;"], stdout=log, stderr=log
            )
        wait_for(self.port, "/ping")
        return self.port

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


def test_scgi_app_receives_the_session_cookie_without_identity_scgi_conf(
    tmp_path: Path, upstreams: Field
) -> None:
    received: list[bytes] = []

    class Scgi(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received.append(self.request.recv(65536))
            self.request.sendall(b"Status: 200 OK\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Scgi) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for with_scgi_file in (False, True):
            directory = tmp_path / str(with_scgi_file)
            conf = copy_site(directory)
            TRANSPORTS["scgi with identity.conf"].write(conf)
            text = (conf / "site.conf").read_text()
            text = text.replace("127.0.0.1:9;", f"127.0.0.1:{server.server_address[1]};")
            if with_scgi_file:
                text = text.replace("identity.conf", "identity-scgi.conf")
            (conf / "site.conf").write_text(text)
            with RunningNginx(directory, conf, upstreams) as port:
                headers = {
                    "Cookie": _COOKIE,
                    "Authorization": f"Bearer {upstreams.tokens['alice']}",
                }
                assert ask(port, "GET", "/", headers).status == 200
        server.shutdown()
    assert f"HTTP_COOKIE\0{_COOKIE}\0".encode() in received[0]
    assert b"HTTP_COOKIE" not in received[1]
    assert b"HTTP_REMOTE_USER\x001\0" in received[1]
