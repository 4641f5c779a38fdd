"""The host of a request over HTTP/1.0, 1.1, 2 and 3: the app receives the host that was checked."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.http3 import ask_http3
from tests.support.certificate import write_certificate
from tests.support.nginx import NginxFront, raw, running_site
from tests.support.nginx_versions import NGINXES
from tests.support.processes import HttpResponse, free_port

CONFIG = """\
login: {url: "https://auth.test/login"}
rules:
  - {host: app.test, path: /public/**, allow: anyone}
  - {host: app.test, allow: authenticated}
"""
# `alone` is a listener without its own default server: the app's server handles any name.
SITE = """\
server {{ {default} return 421; }}
server {{
    {listens} listen {alone};
    server_name app.test;
    include authgw/protect.conf;
    location / {{ include authgw/identity.conf; proxy_pass http://sample; }}
}}
server {{
    {listens}
    server_name auth.test localhost;
    include authgw/protect.conf;
    include authgw/gateway.conf;
}}
"""
BROWSER = {"accept": "text/html", "sec-fetch-mode": "navigate"}


@dataclass
class Hosts:
    """An NGINX on four listeners: HTTP/1 is the site's own port."""

    site: NginxFront
    h2: int
    tls: int
    alone: int
    token: str

    def http1(self, head: str, port: int = 0) -> tuple[int, bytes]:
        answer = raw(port or self.site.port, head.replace("\n", "\r\n").encode("latin-1"))
        return int(answer.split(b" ")[1]), answer.partition(b"\r\n\r\n")[2]

    def http2(self, path: str, host: str, *, tls: bool = False, **headers: str) -> HttpResponse:
        scheme, port = ("https", self.tls) if tls else ("http", self.h2)
        version = "--http2" if tls else "--http2-prior-knowledge"
        words = ["curl", "-sk", "-D", "-", version, "--path-as-is", "--max-time", "10"]
        words += ["--resolve", f"{host.partition(':')[0]}:{port}:127.0.0.1"]
        for name, value in headers.items():
            words += ["-H", f"{name.replace('_', '-')}: {value}"]
        # -H Host becomes :authority.
        words += ["-H", f"Host: {host}", f"{scheme}://{host.partition(':')[0]}:{port}{path}"]
        done = subprocess.run(words, capture_output=True, check=True)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/2"), first
        pairs = dict(line.partition(": ")[::2] for line in lines)
        return HttpResponse(int(first.split(" ")[1]), pairs, body)


def parsed(body: bytes) -> dict[str, Any]:
    return {name.lower(): value for name, value in json.loads(body)["headers"]}


def _hosts(folder: Path, program: list[str], *, quic: bool = False) -> Iterator[Hosts]:
    h2, tls, alone = free_port(), free_port(), free_port()
    pem, key = write_certificate(folder / "tls", "app.test", "auth.test")
    listeners = ["4000", f"{h2} http2", f"{tls} ssl http2", *([f"{tls} quic"] if quic else [])]
    text = SITE.format(
        default=" ".join(f"listen {listener} default_server;" for listener in listeners),
        listens=" ".join(f"listen {listener};" for listener in listeners),
        alone=alone,
    )
    text = f"ssl_certificate {pem};\nssl_certificate_key {key};\n{text}"
    for site in running_site(folder, config=CONFIG, program=program, site=text):
        yield Hosts(site, h2, tls, alone, site.gateway.login(7)["access"])


@pytest.fixture(scope="module", params=NGINXES)
def hosts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    yield from _hosts(tmp_path_factory.mktemp("hosts"), NGINXES[request.param]())


@pytest.fixture(scope="module")
def quic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    yield from _hosts(tmp_path_factory.mktemp("quic"), NGINXES["trixie"](), quic=True)


@pytest.mark.parametrize(
    ("request_line", "host", "status", "expected", "port"),
    [
        ("GET /x HTTP/1.1", "Host: app.test\n", 200, "app.test", "80"),
        ("GET /x HTTP/1.1", "Host: app.test:8443\n", 200, "app.test:8443", "8443"),
        ("GET /x HTTP/1.1", "Host: APP.Test.\n", 200, "APP.Test.", "80"),
        ("GET /x HTTP/1.0", "Host: app.test:90\n", 200, "app.test:90", "90"),
        ("GET http://app.test/x HTTP/1.1", "Host: app.test:4\n", 200, "app.test:4", "4"),
        ("GET http://app.test/x HTTP/1.1", "Host: evil.test\n", 403, "", ""),
        ("GET http://app.test:80/x HTTP/1.1", "Host: evil.test:80\n", 403, "", ""),
        ("GET http://app.test/x HTTP/1.1", "Host: auth.test\n", 403, "", ""),
        ("GET http://evil.test/x HTTP/1.1", "Host: app.test\n", 421, "", ""),
        ("GET /x HTTP/1.1", "Host: evil.test\n", 421, "", ""),
        ("GET /x HTTP/1.1", "Host: \n", 400, "", ""),
        ("GET /x HTTP/1.0", "", 421, "", ""),
        ("GET /x HTTP/1.0", "Host:\n", 400, "", ""),
        ("GET /x HTTP/1.1", "", 400, "", ""),
        ("GET /x HTTP/1.1", "Host: app.test\nHost: app.test\n", 400, "", ""),
        ("GET /x HTTP/1.1", "Host: app.test,evil.test\n", 421, "", ""),
        ("GET /x HTTP/1.1", "Host: app.test/evil\n", 400, "", ""),
    ],
)
def test_http1(
    hosts: Hosts, request_line: str, host: str, status: int, expected: str, port: str
) -> None:
    head = f"{request_line}\n{host}Authorization: Bearer {hosts.token}\nConnection: close\n\n"
    answered, body = hosts.http1(head)
    assert answered == status
    if status == 200:
        received = parsed(body)
        assert (received["host"], received["x-forwarded-host"]) == (expected, expected)
        assert (received["x-forwarded-proto"], received["x-forwarded-port"]) == ("http", port)


@pytest.mark.parametrize(
    ("request_line", "host", "status"),
    [
        # Without a Host header, the server's own name and the listener's port are used.
        ("GET /x HTTP/1.0", "", 200),
        ("GET /x HTTP/1.1", "Host:\n", 400),
        ("GET http://app.test/x HTTP/1.0", "", 200),
        # No rule applies to these hosts.
        ("GET /x HTTP/1.1", "Host: evil.test\n", 403),
        ("GET http://evil.test/x HTTP/1.0", "", 403),
        ("GET http://evil.test/x HTTP/1.1", "Host: app.test\n", 403),
    ],
)
def test_a_server_without_a_default_server(
    hosts: Hosts, request_line: str, host: str, status: int
) -> None:
    head = f"{request_line}\n{host}Authorization: Bearer {hosts.token}\nConnection: close\n\n"
    answered, body = hosts.http1(head, hosts.alone)
    assert answered == status
    if status == 200:
        assert parsed(body)["host"] == f"app.test:{hosts.alone}"


def test_http2(hosts: Hosts) -> None:
    bearer = {"Authorization": f"Bearer {hosts.token}"}
    for tls, scheme, port in ((False, "http", "80"), (True, "https", "443")):
        for host in ("app.test", "app.test:8443", "APP.test"):
            answer = hosts.http2("/x?a=b", host, tls=tls, **bearer)
            assert answer.status == 200
            received = parsed(answer.body)
            assert received["host"] == received["x-forwarded-host"] == host
            assert received["x-forwarded-proto"] == scheme
            assert received["x-forwarded-port"] == (host.partition(":")[2] or port)
        assert hosts.http2("/x", "evil.test", tls=tls, **bearer).status == 421
        anonymous = hosts.http2("/x?a=b", "app.test:8443", tls=tls, **BROWSER)
        assert anonymous.status == 302
        back = quote(f"{scheme}://app.test:8443/x?a=b", safe="")
        assert anonymous.headers["location"] == f"https://auth.test/login?rd={back}"
        assert hosts.http2("/login", "auth.test", tls=tls, **BROWSER).status == 200


@pytest.mark.parametrize("port", ["own", "none"])
def test_http3(quic: Hosts, port: str) -> None:
    bearer = ("authorization", f"Bearer {quic.token}")
    suffix = f":{quic.tls}" if port == "own" else ""
    answer = ask_http3(quic.tls, "/x?a=b", f"app.test{suffix}", bearer)
    assert answer.status == 200
    received = parsed(answer.body)
    # For HTTP/3, NGINX knows only the listener's port.
    assert received["host"] == received["x-forwarded-host"] == f"app.test:{quic.tls}"
    assert (received["x-forwarded-proto"], received["x-forwarded-port"]) == ("https", str(quic.tls))
    assert (received["remote-user"], received["x-real-ip"]) == ("7", "127.0.0.1")
    page = ask_http3(quic.tls, "/login", f"auth.test{suffix}", *BROWSER.items())
    assert page.status == 200
    assert b"<form" in page.body
    assert ask_http3(quic.tls, "/public/x", f"app.test{suffix}").status == 200


def test_http3_without_a_session(quic: Hosts) -> None:
    answer = ask_http3(quic.tls, "/x?a=b", f"app.test:{quic.tls}", *BROWSER.items())
    assert answer.status == 302
    back = quote(f"https://app.test:{quic.tls}/x?a=b", safe="")
    assert answer.headers["location"] == f"https://auth.test/login?rd={back}"
    assert ask_http3(quic.tls, "/x", "app.test").status == 401
    assert ask_http3(quic.tls, "/x", "evil.test").status == 421
    assert ask_http3(quic.tls, "/x", "app.test", ("remote-user", "admin")).status == 403


def test_http3_with_two_hosts(quic: Hosts) -> None:
    bearer = ("authorization", f"Bearer {quic.token}")
    for host in ("evil.test", "auth.test"):
        assert ask_http3(quic.tls, "/x", "app.test", ("host", host), bearer).status in (400, 403)
