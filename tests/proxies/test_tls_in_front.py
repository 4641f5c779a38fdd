"""TLS ends before the proxy: at a load balancer, or at a tunnel behind a second proxy.

Each shipped example has a switch that trusts the machines in front by their addresses. HAProxy
terminates TLS here and forwards plain HTTP, directly or through a second HAProxy.
"""

import contextlib
import http.client
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.support.processes import HttpResponse, answer_of, free_port
from tests.support.proxies import (
    BROWSER,
    CLIENT,
    CONFIG,
    EXAMPLES,
    HOST,
    LOGIN,
    LOGIN_HOST,
    PASSWORD,
    Proxied,
    lower,
    program,
    running,
    told,
    unchanged,
)

ENDS_TLS, SECOND_HOP = "127.0.0.5", "127.0.0.6"
ELSE = "127.0.0.20"
NOBODY = "192.0.2.1"  # the address in the shipped files
BEHIND = CONFIG.replace("[127.0.0.1/32]", f"[127.0.0.1/32, {ENDS_TLS}/32, {SECOND_HOP}/32]")
BEHIND = BEHIND.replace("from: 10.0.0.0/8", f"from: {CLIENT}/32").replace(
    LOGIN, f"https://{LOGIN_HOST}"
)


def _traefik(text: str) -> str:
    return text.replace(f"[{NOBODY}]", f"[{ENDS_TLS}, {SECOND_HOP}]")


def _caddy(text: str) -> str:
    return text.replace(f"{NOBODY}/32", f"{ENDS_TLS}/32 {SECOND_HOP}/32")


def _envoy(text: str) -> str:
    shown = f"{{address_prefix: {NOBODY}, prefix_len: 32}}"
    trusted = f"{{address_prefix: {ENDS_TLS}, prefix_len: 32}}"
    # Only the second hop and the fixtures that wait for it can connect.
    others = [
        f"{{address_prefix: {one}, prefix_len: 32}}" for one in (SECOND_HOP, CLIENT, "127.0.0.1")
    ]
    switched = text.replace("# tls_ends_before: ", "")
    return switched.replace(shown, ", ".join([trusted, *others]))


SWITCHES: dict[str, Callable[[str], str]] = {
    "traefik": _traefik,
    "caddy": _caddy,
    "envoy": _envoy,
    "haproxy": unchanged,
}
# HAProxy's switch is a variable; no other example reads it.
ENVIRON = {"TLS_ENDS_BEFORE": f"{ENDS_TLS} {SECOND_HOP}"}
_COMMON = """
defaults
    mode http
    timeout client 20s
    timeout server 20s
    timeout connect 2s
"""


def test_every_example_has_its_switch() -> None:
    assert set(SWITCHES) == set(EXAMPLES)


@dataclass
class Fronted:
    """An example behind `hops` machines, of which the first terminates TLS."""

    proxied: Proxied
    port: int

    def send(
        self,
        path: str,
        *headers: tuple[str, str],
        method: str = "GET",
        host: str = HOST,
        body: bytes = b"",
    ) -> HttpResponse:
        """Send a request over TLS, as a client of the outermost machine."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}"] if body else []
        plain = socket.create_connection(("127.0.0.1", self.port), 12, (CLIENT, 0))
        with context.wrap_socket(plain) as link:
            link.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
            answer = http.client.HTTPResponse(link, method=method)
            answer.begin()
            return answer_of(answer)


def _certificate(folder: Path) -> Path:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-subj", f"/CN={HOST}", "-days", "2", "-keyout", str(key)]
    subprocess.run([*words, "-out", str(certificate)], check=True, capture_output=True)
    (folder / "both.pem").write_text(certificate.read_text() + key.read_text())
    return folder / "both.pem"


def _in_front(folder: Path, target: int, port: int, second: str) -> str:
    """Return HAProxy's configuration; `second` is the second hop's rule for X-Forwarded-Proto."""
    between = free_port() if second else target
    own = SECOND_HOP if second else ENDS_TLS
    chain = f"""
listen ends_tls
    bind 127.0.0.1:{port} ssl crt {_certificate(folder)}
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-For %[src]
    server next 127.0.0.1:{between} source {ENDS_TLS}
"""
    if second:
        chain += f"""
listen second
    bind 127.0.0.1:{between}
    {second}
    http-request set-header X-Forwarded-For %[req.hdr(X-Forwarded-For)],%[src]
    server next 127.0.0.1:{target} source {own}
"""
    return _COMMON + chain


SECOND = {
    "one hop": "",
    "two hops": "http-request set-header X-Custom kept",
    "two hops, appending": (
        "http-request set-header X-Forwarded-Proto %[req.hdr(X-Forwarded-Proto)],http"
    ),
}


def _switched(name: str, hops: int, folder: Path) -> Iterator[Proxied]:
    def edit(text: str) -> str:
        # Envoy counts hops; the others identify them by their addresses.
        return SWITCHES[name](text).replace("trusted_hops: 1", f"trusted_hops: {hops}")

    yield from running(name, folder, config=BEHIND, edit=edit, environ=ENVIRON)


@pytest.fixture(
    scope="module", params=[(name, hops) for name in SWITCHES for hops in SECOND], ids=" ".join
)
def fronted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fronted]:
    name, hops = request.param
    folder, port = tmp_path_factory.mktemp("front"), free_port()
    for switched in _switched(name, 2 if SECOND[hops] else 1, tmp_path_factory.mktemp(name)):
        (folder / "front.cfg").write_text(_in_front(folder, switched.port, port, SECOND[hops]))
        process = subprocess.Popen([program("haproxy"), "-db", "-f", str(folder / "front.cfg")])
        try:
            made = Fronted(switched, port)
            _wait_for_tls(made)
            yield made
        finally:
            process.terminate()
            process.wait(10)


def _wait_for_tls(fronted: Fronted) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            if fronted.send("/public/").status == 200:
                return
        time.sleep(0.05)
    pytest.fail("nothing answers over TLS")


def test_a_login_returns_to_https(fronted: Fronted) -> None:
    for host in (HOST, f"{HOST}:8443"):
        answer = fronted.send("/page?a=b", *BROWSER, host=host)
        back = quote(f"https://{host}/page?a=b", safe="")
        assert (answer.status, lower(answer)["location"]) == (
            302,
            f"https://{LOGIN_HOST}/login?rd={back}",
        )


def test_the_app_receives_https_and_the_client_address(fronted: Fronted) -> None:
    answer = fronted.send(
        "/public/x", ("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "10.9.9.9")
    )
    assert answer.status == 200
    received = told(answer)
    protos = [value for name, value in received if name == "x-forwarded-proto"]
    assert len(protos) == 1
    assert protos[0].split(",")[0].strip() == "https"
    chain = ",".join(value for name, value in received if name == "x-forwarded-for")
    assert chain.split(",")[0].strip() == CLIENT
    assert "10.9.9.9" not in chain
    if fronted.proxied.name != "traefik" or "," not in protos[0]:
        # Traefik does not parse a list of schemes, and uses the port of http.
        assert dict(received).get("x-forwarded-port", "443") == "443"


def test_rules_see_the_address_of_the_client(fronted: Fronted) -> None:
    assert fronted.send("/net/x").status == 200


def test_a_form_logs_in(fronted: Fronted) -> None:
    page = fronted.send("/login", *BROWSER, host=LOGIN_HOST)
    token = re.search(r'name="token" value="([^"]+)"', page.body.decode())
    assert token
    headers = [
        ("Origin", f"https://{LOGIN_HOST}"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Cookie", lower(page)["set-cookie"].partition(";")[0]),
        ("X-Forwarded-For", "10.9.9.9"),
    ]
    for password, status in (("wrong", 401), (PASSWORD, 303)):
        form = urlencode({"token": token[1], "username": "alice", "password": password}).encode()
        answer = fronted.send("/login", *headers, method="POST", host=LOGIN_HOST, body=form)
        assert answer.status == status
    assert "__Host-authgw=" in lower(answer)["set-cookie"]
    assert lower(answer)["location"].startswith(f"https://{LOGIN_HOST}/")
    failures = [line for line in fronted.proxied.gateway.log.splitlines() if "login_failed" in line]
    assert failures
    assert all(CLIENT in line and "10.9.9.9" not in line for line in failures), failures


def test_a_client_cannot_name_another_request(fronted: Fronted) -> None:
    forged = [
        ("X-Forwarded-Uri", "/public/x"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "other.test"),
        ("X-Original-URL", f"https://{HOST}/public/x"),
        ("X-Forwarded-Prefix", "/public"),
    ]
    for some in [*([lie] for lie in forged), forged]:
        assert fronted.send("/page", *some).status in (401, 403), some


def test_headers_of_an_untrusted_peer_are_ignored(fronted: Fronted) -> None:
    switched = fronted.proxied
    sent_headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "10.9.9.9")]
    answer = switched.send("/page", *BROWSER, *sent_headers, source=ELSE)
    if answer.status:  # Envoy accepts connections from no other address
        assert lower(answer)["location"].endswith(quote(f"http://{HOST}/page", safe=""))
    answer = switched.send("/public/x", *sent_headers, source=ELSE)
    if answer.status:
        received = told(answer)
        assert "10.9.9.9" not in ",".join(v for name, v in received if name == "x-forwarded-for")
        assert [v for name, v in received if name == "x-forwarded-proto"] == ["http"]
