"""Holes that the doctor finds, seen in a real NGINX: each finding is true."""

import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support.doctor import found, site
from tests.support.doctor_cases import Case, in_server, public
from tests.support.doctor_undone_cases import UNDONE
from tests.support.doctor_ways_cases import PASSES, WAYS
from tests.support.nginx_versions import system
from tests.support.processes import (
    LOGS,
    ROOT,
    Answer,
    Gateway,
    ask,
    free_port,
    make_gateway,
    wait_for,
)

_COOKIE = "__Host-authgw=a-live-session"


@dataclass
class Field:
    """A gateway and an app, to put an NGINX in front of; tokens of two users."""

    gateway: Gateway
    app: int
    tokens: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    made = make_gateway(tmp_path_factory.mktemp("gateway"))
    made.start()
    app = free_port()
    words = [sys.executable, str(ROOT / "tests/support/echo_upstream.py"), str(app)]
    echo = subprocess.Popen(words)
    wait_for(app)
    tokens = {name: made.login(number)["access"] for number, name in enumerate(("alice", "bob"), 1)}
    yield Field(made, app, tokens)
    echo.terminate()
    echo.wait(10)
    made.stop()


@dataclass(frozen=True)
class Proof:
    """A request that shows the hole: what its answer holds on the broken site alone."""

    case: Case
    shows: str
    path: str = "/"
    method: str = "GET"
    user: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    before: str = ""  # the user of a request before it
    body: bytes | None = None


def forged(line: str) -> Case:
    """Make a case of a public location of the app below a line in its server."""
    app = "include authgw/identity.conf; proxy_pass http://sample;"
    return in_server(f"{line}\n    {public(app)}", "overwrites")


_PAGES = (
    "location /page/ { auth_request off; root pages; %s }\n"
    "    location /menu/ { include authgw/identity.conf; proxy_pass http://sample; }"
)


def _away(case: Case) -> Case:
    """Let the gateway of a case be away."""
    upstream = ("authgw/upstream.conf", "127.0.0.1:8080", "127.0.0.1:1")
    return replace(case, more=(upstream,))


PROOFS = {
    "the cookie passed on": Proof(
        UNDONE["a cookie of the client's"], _COOKIE, user="alice", headers={"Cookie": _COOKIE}
    ),
    "the cookie in another header": Proof(
        UNDONE["the cookie by another header"], _COOKIE, user="alice", headers={"Cookie": _COOKIE}
    ),
    "Cookie left out of the recipe": Proof(
        UNDONE["Cookie left out"], _COOKIE, user="alice", headers={"Cookie": _COOKIE}
    ),
    "addresses of the client's": Proof(
        UNDONE["addresses of the client's"],
        '["X-Forwarded-For", "9.9.9.9, ',
        user="alice",
        headers={"X-Forwarded-For": "9.9.9.9"},
    ),
    "another method": Proof(UNDONE["another method"], '"method": "POST"', user="alice"),
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
    "an answer kept for all": Proof(
        WAYS["a cache for all"], '["Remote-User", "1"]', user="bob", before="alice"
    ),
    "an alias without a slash": Proof(
        in_server("location /files { alias pages/page/; }", "leads out"),
        "a secret file",
        "/files../secret",
        user="alice",
    ),
    "a server that the client names": Proof(
        WAYS["an upstream that the client names"],
        '"openapi":',
        "/openapi.json?to=127.0.0.1:GATEWAY",
        user="alice",
    ),
    "a rewrite past the gateway": Proof(
        WAYS["a rewrite past the gateway"], '"path": "/inner/secret"', "/x/secret"
    ),
    "a rewrite of the path": Proof(
        WAYS["a rewrite to another path"],
        '"path": "/admin"',
        "/app/admin",
        user="alice",
    ),
    "a status before the check": Proof(
        Case(
            "site.conf",
            "client_max_body_size 100m;",
            "client_max_body_size 1;",
            WAYS["a status that comes before the check"].said,
            more=(
                (
                    "site.conf",
                    WAYS["a status that comes before the check"].old,
                    WAYS["a status that comes before the check"].new,
                ),
            ),
        ),
        '"path": "/secret"',
        "/secret",
        "POST",
        body=b"large",
    ),
    "ssi includes a protected location": Proof(
        in_server(_PAGES % "ssi on;", "text of an answer can include any location"),
        '"path": "/menu/x"',
        "/page/ssi.html",
    ),
    "a protected location around an answer": Proof(
        in_server(_PAGES % "add_after_body /menu/x;", "includes this in answers"),
        '"path": "/menu/x"',
        "/page/plain.html",
    ),
    "the check answered by another location": Proof(
        WAYS["the check answered by another location"], '"path": "/secret"', "/secret"
    ),
    "a check of another path": Proof(
        WAYS["a check of another path"], '"path": "/secret"', "/secret"
    ),
    "a page while the gateway is away": Proof(
        _away(WAYS["a page while the gateway is away"]), '"path": "/secret"', "/secret"
    ),
    "a page of status 200 while the gateway is away": Proof(
        _away(WAYS["a page of status 200 while the gateway is away"]),
        '"path": "/secret"',
        "/secret",
    ),
    "a token for everybody": Proof(WAYS["everybody's token"], '["Remote-User", "1"]', "/secret"),
    "addresses by everybody": Proof(
        WAYS["addresses by everybody"],
        '["X-Forwarded-For", "9.9.9.9"]',
        user="alice",
        headers={"X-Real-IP": "9.9.9.9"},
    ),
    "the cookie in an answer": Proof(
        WAYS["sessions in an answer"], _COOKIE, user="alice", headers={"Cookie": _COOKIE}
    ),
}


@pytest.mark.parametrize("name", PROOFS)
def test_the_hole_is_there(tmp_path: Path, behind: Field, name: str) -> None:
    proof = PROOFS[name]
    (tmp_path / "shipped").mkdir()
    (tmp_path / "broken").mkdir()
    shipped = answered(tmp_path / "shipped", behind, proof, None)
    broken = answered(tmp_path / "broken", behind, proof, proof.case)
    assert proof.shows in text_of(broken), broken
    assert proof.shows not in text_of(shipped), shipped


def text_of(answer: Answer) -> str:
    return f"{answer.headers} {answer.body.decode()}"


@pytest.mark.parametrize("name", PROOFS)
def test_the_doctor_finds_it(tmp_path: Path, name: str) -> None:
    conf = site(tmp_path)
    PROOFS[name].case.write(conf)
    findings = found(tmp_path, conf, PROOFS[name].case)
    assert any(": hole: " in each and PROOFS[name].case.said in each for each in findings)


def answered(folder: Path, behind: Field, proof: Proof, case: Case | None) -> Answer:
    """Send the request of a proof through the shipped site, or through the broken one."""
    conf = site(folder)
    if case is not None:
        case.write(conf)
    pages = folder / "pages" / "page"
    pages.mkdir(parents=True)
    (pages / "ssi.html").write_text('a <!--#include virtual="/menu/x" -->')
    (pages / "plain.html").write_text("a")
    (folder / "pages" / "away.html").write_text("back soon")
    (folder / "pages" / "secret").write_text("a secret file")
    with running(folder, conf, behind) as port:
        if proof.before:
            send(port, proof, behind, proof.before)
        return send(port, proof, behind, proof.user)


def send(port: int, proof: Proof, behind: Field, user: str) -> Answer:
    bearer = {"Authorization": f"Bearer {behind.tokens[user]}"} if user else {}
    path = proof.path.replace("GATEWAY", str(behind.gateway.port))
    return ask(port, proof.method, path, {**bearer, **proof.headers}, proof.body)


class running:
    """NGINX on a folder's configuration, with the ports of this gateway and app."""

    def __init__(self, folder: Path, conf: Path, behind: Field) -> None:
        self.folder, self.conf, self.port = folder, conf, free_port()
        ports = {"4000": self.port, "8080": behind.gateway.port, "8081": behind.app}
        for file in conf.rglob("*.conf"):
            text = file.read_text().replace("Bearer abc", f"Bearer {behind.tokens['alice']}")
            text = re.sub(r"\b(root|alias) pages", rf"\1 {folder}/pages", text)
            for old, new in ports.items():
                text = re.sub(rf"\b(listen |127\.0\.0\.1:){old}\b", rf"\g<1>{new}", text)
            file.write_text(text)

    def __enter__(self) -> int:
        words = [*system(), "-p", str(self.folder), "-c", str(self.conf / "nginx.conf")]
        LOGS.add(self.folder / "log")
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*words, "-e", "stderr", "-g", "daemon off; user root;"], stdout=log, stderr=log
            )
        wait_for(self.port, "/ping")
        return self.port

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


def test_a_cgi_app_receives_the_cookie_that_identity_conf_keeps_from_proxied_ones(
    tmp_path: Path, behind: Field
) -> None:
    received: list[bytes] = []

    class Scgi(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received.append(self.request.recv(65536))
            self.request.sendall(b"Status: 200 OK\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Scgi) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for kept in (False, True):
            folder = tmp_path / str(kept)
            conf = site(folder)
            PASSES["scgi with identity.conf"].write(conf)
            text = (conf / "site.conf").read_text()
            text = text.replace("127.0.0.1:9;", f"127.0.0.1:{server.server_address[1]};")
            if kept:
                text = text.replace("identity.conf", "identity-scgi.conf")
            (conf / "site.conf").write_text(text)
            with running(folder, conf, behind) as port:
                headers = {"Cookie": _COOKIE, "Authorization": f"Bearer {behind.tokens['alice']}"}
                assert ask(port, "GET", "/", headers).status == 200
        server.shutdown()
    assert f"HTTP_COOKIE\0{_COOKIE}\0".encode() in received[0]
    assert b"HTTP_COOKIE" not in received[1]
    assert b"HTTP_REMOTE_USER\x001\0" in received[1]
