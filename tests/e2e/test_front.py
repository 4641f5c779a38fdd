"""TLS that ends at a first or second hop before NGINX: trusted hops set scheme and client."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.certificate import write_certificate
from tests.support.nginx import NginxFront, running_site
from tests.support.nginx_versions import NGINXES
from tests.support.processes import free_port

CLIENT = "127.0.0.9"
NEAR, FAR = "127.0.0.21", "127.0.0.22"  # the hop before NGINX, and the hop before that
FRONT = f"""\
    set_real_ip_from {NEAR};
    set_real_ip_from {FAR};
    include authgw/front.conf;
"""
CONFIG = f"""\
login: {{url: "https://auth.test/login"}}
rules:
  - {{host: app.test, path: /net/**, from: {CLIENT}/32, allow: anyone}}
  - {{host: app.test, path: /public/**, allow: anyone}}
  - {{host: app.test, allow: authenticated}}
"""
SITE = """\
server {
    listen 4000;
    server_name app.test localhost;
    include authgw/protect.conf;
    include authgw/gateway.conf;
    location / { include authgw/identity.conf; proxy_pass http://sample; }
    location /cgi { auth_request off; return 200 "$authgw_https $authgw_scheme $authgw_port"; }
}
"""
# TLS ends at `tls`; `two` forwards to `plain`, a second hop, which sends its own scheme and client.
HAPROXY = """\
global
    log stderr format raw local0 warning
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    option forwardfor
frontend tls
    bind 127.0.0.1:{one} ssl crt {pem}
    http-request set-header X-Forwarded-Proto https
    default_backend nginx
frontend two
    bind 127.0.0.1:{two} ssl crt {pem}
    http-request set-header X-Forwarded-Proto https
    default_backend plain
frontend plain
    bind 127.0.0.1:{plain}
    http-request set-header X-Forwarded-Proto %[req.hdr(x-forwarded-proto)],http
    default_backend nginx
backend plain
    server plain 127.0.0.1:{plain} source {far}
backend nginx
    server nginx 127.0.0.1:{nginx} source {near}
"""


@dataclass
class Front:
    site: NginxFront
    hops: dict[str, int]
    token: str

    def direct(self, source: str, path: str = "/x", *lines: str, host: str = "app.test") -> Any:
        """Return status, headers and body of a request from this address directly to NGINX."""
        link = socket.create_connection(("127.0.0.1", self.site.port), 10, (source, 0))
        head = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", ""]
        with link:
            link.sendall("\r\n".join(head).encode())
            answer = b""
            while chunk := link.recv(65536):
                answer += chunk
        received, _, body = answer.decode("latin-1").partition("\r\n\r\n")
        return int(received.split(" ")[1]), received, body

    def through(self, hop: str, path: str, *headers: str, source: str = CLIENT) -> Any:
        """Return the same for a request over TLS through `hop`."""
        port = self.hops[hop]
        words = ["curl", "-sk", "-D", "-", "--http1.1", "--max-time", "10", "--interface", source]
        words += ["--resolve", f"app.test:{port}:127.0.0.1"]
        for line in headers:
            words += ["-H", line]
        done = subprocess.run(
            [*words, f"https://app.test:{port}{path}"], capture_output=True, check=True
        )
        received, _, body = done.stdout.decode("latin-1").partition("\r\n\r\n")
        return int(received.split(" ")[1]), received, body

    @property
    def bearer(self) -> str:
        return f"Authorization: Bearer {self.token}"


def parsed(body: str) -> dict[str, str]:
    return {name.lower(): value for name, value in json.loads(body)["headers"]}


@pytest.fixture(scope="module", params=NGINXES)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if haproxy is None:
        pytest.fail("haproxy is missing: apt-get install haproxy")
    folder = tmp_path_factory.mktemp("front")
    pem, key = write_certificate(folder / "tls", "app.test")
    both = folder / "both.pem"
    both.write_text(pem.read_text() + key.read_text())
    program = NGINXES[request.param]()
    for site in running_site(folder, config=CONFIG, program=program, site=SITE, front=FRONT):
        ports = {name: free_port() for name in ("one", "two", "plain")}
        file = folder / "haproxy.cfg"
        file.write_text(HAPROXY.format(pem=both, nginx=site.port, near=NEAR, far=FAR, **ports))
        started = subprocess.Popen([haproxy, "-db", "-f", str(file)])
        try:
            _wait(ports["two"])
            yield Front(site, ports, site.gateway.login(7)["access"])
        finally:
            started.terminate()
            started.wait(10)


def _wait(port: int) -> None:
    words = ["curl", "-sk", "--retry", "50", "--retry-connrefused", "--retry-delay", "0"]
    words += ["--max-time", "20", "-o", "/dev/null", f"https://127.0.0.1:{port}/"]
    subprocess.run(words, check=True)


@pytest.mark.parametrize("hop", ["one", "two"])
def test_scheme_address_and_port_are_the_clients(front: Front, hop: str) -> None:
    port = front.hops[hop]
    forged = ("X-Forwarded-Proto: http", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Port: 1")
    for more in ((), forged):
        status, _, body = front.through(hop, "/x", front.bearer, *more)
        assert status == 200
        received = parsed(body)
        assert received["x-forwarded-proto"] == "https"
        assert received["host"] == received["x-forwarded-host"] == f"app.test:{port}"
        assert received["x-forwarded-port"] == str(port)
        assert received["x-real-ip"] == received["x-forwarded-for"] == CLIENT
    status, _, body = front.through(hop, "/cgi", "Host: app.test")
    assert (status, body) == (200, "on https 443")


@pytest.mark.parametrize("hop", ["one", "two"])
def test_a_login_returns_to_the_requested_url(front: Front, hop: str) -> None:
    status, received, _ = front.through(hop, "/x?a=b", "Accept: text/html")
    back = quote(f"https://app.test:{front.hops[hop]}/x?a=b", safe="")
    assert status == 302
    assert f"ocation: https://auth.test/login?rd={back}\r\n" in received


@pytest.mark.parametrize("hop", ["one", "two"])
def test_rules_see_the_clients_address(front: Front, hop: str) -> None:
    assert front.through(hop, "/net/x")[0] == 200
    assert front.through(hop, "/net/x", source="127.0.0.8")[0] == 401
    assert front.through(hop, "/net/x", f"X-Forwarded-For: {CLIENT}", source="127.0.0.8")[0] == 401


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("https,http", "https"),
        ("https , http", "https"),
        ("https, http, http", "https"),
        ("wss", "https"),
        ("http", "http"),
        ("http,https", "http"),
        ("ws", "http"),
        # NGINX's own connection counts if no valid value was sent.
        ("", "http"),
        ("gopher", "http"),
        ("httpsx", "http"),
        ("ftp,https", "http"),
    ],
)
def test_headers_of_a_trusted_hop(front: Front, proto: str, scheme: str) -> None:
    lines = (f"X-Forwarded-Proto: {proto}", f"X-Forwarded-For: {CLIENT}", front.bearer)
    status, _, body = front.direct(NEAR, "/x", *lines)
    assert status == 200
    received = parsed(body)
    assert received["x-forwarded-proto"] == scheme
    assert received["x-forwarded-port"] == {"https": "443", "http": "80"}[scheme]


@pytest.mark.parametrize(
    "lines",
    [
        ("X-Forwarded-For: 127.0.0.9",),
        ("X-Forwarded-For: 127.0.0.9, 127.0.0.22",),
        ("X-Forwarded-For: 127.0.0.8",),
        ("Forwarded: for=127.0.0.9;proto=https",),
        ("X-Real-IP: 127.0.0.9",),
        ("Front-End-Https: on", "X-Forwarded-Ssl: on", "X-Forwarded-Scheme: https"),
    ],
)
def test_headers_of_an_untrusted_peer_are_ignored(front: Front, lines: tuple[str, ...]) -> None:
    sent = ("X-Forwarded-Proto: https", *lines)
    status, _, body = front.direct("127.0.0.8", "/x", front.bearer, *sent)
    assert status == 200
    received = parsed(body)
    assert (received["x-forwarded-proto"], received["x-forwarded-port"]) == ("http", "80")
    assert received["x-real-ip"] == received["x-forwarded-for"] == "127.0.0.8"
    assert front.direct("127.0.0.8", "/net/x", *sent)[0] == 401
    _, answer, _ = front.direct("127.0.0.8", "/x", "Accept: text/html", *sent)
    assert "rd=http%3A%2F%2Fapp.test%2Fx\r\n" in answer


def test_a_trusted_hop_without_a_client_address_is_ignored(front: Front) -> None:
    status, _, body = front.direct(NEAR, "/x", front.bearer, "X-Forwarded-Proto: https")
    assert (status, parsed(body)["x-forwarded-proto"]) == (200, "http")


def test_a_trusted_hop_may_send_its_own_requests(front: Front) -> None:
    lines = (front.bearer, f"X-Forwarded-For: {NEAR}", "X-Forwarded-Proto: https")
    status, _, body = front.direct(NEAR, "/x", *lines)
    assert (status, parsed(body)["x-forwarded-proto"]) == (200, "https")


def test_without_the_switch_no_hop_is_trusted(tmp_path: Path) -> None:
    for site in running_site(tmp_path, config=CONFIG, site=SITE):
        plain = Front(site, {}, site.gateway.login(7)["access"])
        lines = (plain.bearer, "X-Forwarded-Proto: https", f"X-Forwarded-For: {CLIENT}")
        status, _, body = plain.direct(NEAR, "/x", *lines)
        assert (status, parsed(body)["x-forwarded-proto"]) == (200, "http")
        assert parsed(body)["x-real-ip"] == NEAR
