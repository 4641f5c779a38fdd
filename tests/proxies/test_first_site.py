"""The sites that `authgw init` writes, in the real proxies: a single login for two hosts."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.first_login import HttpBrowser
from tests.support.processes import LOGS, ROOT, GatewayProcess, free_port, prepare, wait_for
from tests.support.proxies import program

PASSWORD = "tuck-vole-brim-seventy"
# Caddy and Traefik would get certificates from the Internet.
OVER_TLS = ("nginx", "haproxy", "envoy")


@dataclass
class FirstSite:
    """A proxy with two apps behind a gateway."""

    port: int
    tls: bool
    apps: tuple[str, str]
    login: str

    def browser(self) -> HttpBrowser:
        """Return a browser without a session."""
        return HttpBrowser(self.port, tls=self.tls)


def _commands(name: str, folder: Path) -> list[str]:
    return {
        "nginx": ["nginx", "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"],
        "caddy": ["caddy", "run", "--config", str(folder / "Caddyfile")],
        "traefik": ["traefik", f"--configFile={folder / 'traefik.yml'}"],
        "haproxy": ["haproxy", "-f", f"{folder / 'authgw.cfg'}", "-f", f"{folder / 'site.cfg'}"],
        "envoy": ["envoy", "-c", str(folder / "envoy.yaml"), "--disable-hot-restart"],
    }[name]


def _moved(text: str, port: int) -> str:
    """Replace the ports of https and http, which other tests may need."""
    text = re.sub(r" +listen \[::\]:\d+.*\n", "", text)
    text = re.sub(r"listen 443 ssl", f"listen 127.0.0.1:{port} ssl", text)
    text = re.sub(r"listen 80;", f"listen 127.0.0.1:{free_port()};", text)
    text = re.sub(r"bind :443", f"bind 127.0.0.1:{port}", text)
    text = re.sub(r"bind :80", f"bind 127.0.0.1:{free_port()}", text)
    text = text.replace(
        'address: "::", port_value: 443, ipv4_compat: true',
        f"address: 127.0.0.1, port_value: {port}",
    )
    return text.replace(
        'address: "::", port_value: 80, ipv4_compat: true',
        f"address: 127.0.0.1, port_value: {free_port()}",
    )


@pytest.fixture(scope="module", params=["nginx", "caddy", "traefik", "haproxy", "envoy"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FirstSite]:
    name, tmp_path = request.param, tmp_path_factory.mktemp("first")
    folder = tmp_path / "site"
    tls, port, upstream = name in OVER_TLS, free_port(), free_port()
    domain = "example.com" if tls else "example.localhost"
    gateway = GatewayProcess(folder, free_port())
    words = ["--proxy", name, "--domain", domain if tls else f"{domain}:{port}"]
    for app in ("app", "wiki"):
        words += ["--protect", f"{app}.{domain}=127.0.0.1:{upstream}"]
    words += ["--port", str(gateway.port), "--user", "alice", "--password-stdin"]
    prepare(tmp_path, "init", "site", *words, stdin=f"{PASSWORD}\n")
    if tls:
        for file in ("conf.d/authgw.conf", "site.cfg", "envoy.yaml"):
            path = folder / name / file
            if path.exists():
                path.write_text(_moved(path.read_text(), port))
    if name == "nginx":
        main = "daemon off;\npid nginx.pid;\nevents {}\nhttp { include conf.d/*.conf; }\n"
        (folder / name / "nginx.conf").write_text(main)
    gateway.start()
    log = tmp_path / "log"
    LOGS.add(log)
    command, *rest = _commands(name, folder / name)
    with log.open("wb") as output:
        proxy = subprocess.Popen(
            [program(command), *rest], stdout=output, stderr=output, env={"HOME": str(tmp_path)}
        )
    echo = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/echo_upstream.py"), str(upstream)]
    )
    try:
        wait_for(upstream)
        scheme, end = ("https", "") if tls else ("http", f":{port}")
        made = FirstSite(
            port,
            tls,
            (f"{scheme}://app.{domain}{end}", f"{scheme}://wiki.{domain}{end}"),
            f"{scheme}://auth.{domain}{end}",
        )
        _wait(made, log)
        yield made
    finally:
        for process in (proxy, echo):
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        gateway.stop()


def _wait(site: FirstSite, log: Path) -> None:
    for _ in range(200):
        try:
            if site.browser().open(f"{site.login}/ping")[1].body == b"pong":
                return
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail(log.read_text())


def test_a_login_counts_for_both_hosts(site: FirstSite) -> None:
    app, wiki = site.apps
    browser = site.browser()
    place, page = browser.log_in(f"{app}/page?x=1", "alice", PASSWORD)
    assert (place, page.status) == (f"{app}/page?x=1", 200)
    seen = dict(page.json()["headers"])
    received = {name.lower(): value for name, value in seen.items()}
    assert received["remote-user"] == "alice"
    assert received["host"] == app.partition("://")[2]
    assert received["x-forwarded-proto"] == app.partition("://")[0]
    assert "authgw" not in received.get("cookie", "")
    place, page = browser.open(f"{wiki}/other")
    assert (place, page.status) == (f"{wiki}/other", 200)


def test_the_login_host_publishes_public_paths_only(site: FirstSite) -> None:
    browser = site.browser()
    for path in ("/revoke", "/sessions", "/metrics", "/openapi.json", "/readyz"):
        for host in (site.login, site.apps[0]):
            _, answer = browser.open(f"{host}{path}")
            assert answer.status != 200 or b'type="password"' in answer.body


def test_a_login_without_a_page_leads_to_the_app(site: FirstSite) -> None:
    place, page = site.browser().log_in(f"{site.login}/login", "alice", PASSWORD)
    assert (place, page.status) == (f"{site.apps[0]}/", 200)


def test_an_unknown_host_is_refused(site: FirstSite) -> None:
    _, answer = site.browser().open(site.login.replace("auth.", "other."))
    # HAProxy asks the gateway first, which has no rule for it.
    assert answer.status in (403, 404, 421)
