"""Commands of the how-to guides, run as they are, and sites of the guides that are in use."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.connect_proxy import connect_proxy
from tests.support.guides import HOW_TO, RUN, GuideSite, blocks, only, proxy_manager, script
from tests.support.processes import AUTHGW, ROOT, GatewayProcess, ask, free_port, wait_for

PASSWORD = "correct horse battery staple"


@contextmanager
def served(site: GuideSite, gateway: GatewayProcess) -> Iterator[int]:
    """Start NGINX with this site in front of a gateway and an app; yield its port.

    It is the port of the servers with TLS, or of those without TLS if the site has only these.
    """
    port, app = free_port(), free_port()
    ports = {"443": port, "80": port, "8080": gateway.port, "8081": app}
    for file in (site.folder / "nginx.conf", site.folder / "authgw" / "upstream.conf"):
        text = file.read_text()
        for old, new in ports.items():
            text = re.sub(rf"(listen |127\.0\.0\.1:|\$port ){old}\b", rf"\g<1>{new}", text)
        file.write_text(text)
    echo = [sys.executable, str(ROOT / "tests/support/echo_upstream.py"), str(app)]
    started = [subprocess.Popen(echo)]
    try:
        wait_for(app)
        started.append(subprocess.Popen(site.command("-e", "stderr", "-g", "daemon off;")))
        wait_for(port)
        yield port
    finally:
        for process in started:
            process.terminate()
            process.wait(10)


def write_stand_ins(folder: Path, pid: int) -> None:
    """Write commands in place of a terminal and of systemd.

    `authgw` passes the password that a user would type, and waits until the gateway has read the
    changed users file.
    """
    folder.mkdir()
    (folder / "authgw").write_text(
        "#!/bin/bash\n"
        f'case "$1 $2" in\n'
        f"'user add' | 'user passwd') {AUTHGW} \"$@\" --password-stdin <<< '{PASSWORD}' ;;\n"
        f'*) {AUTHGW} "$@" ;;\n'
        "esac\n"
        "status=$?\n"
        '[ "$1" != user ] || sleep 1.5\n'
        "exit $status\n"
    )
    (folder / "systemctl").write_text(
        f"#!/bin/sh\n[ \"$*\" = 'reload authgw' ] && kill -HUP {pid} && sleep 1\n"
    )
    for file in folder.iterdir():
        file.chmod(0o755)


@pytest.mark.parametrize("guide", RUN)
def test_the_commands_work(tmp_path: Path, guide: str) -> None:
    config = only(guide, "config.yml")
    sites = blocks(guide, "nginx", "site.conf")
    hosts = sorted(set(re.findall(r"(?<=host: )[a-z.]+\.example\.com", config)))
    site = GuideSite.of_app(tmp_path, guide) if sites else simple_site(tmp_path, config, hosts)
    for block in blocks(guide, "python"):
        (tmp_path / block.title).write_text(block.text)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    gateway = GatewayProcess(tmp_path, free_port())
    gateway.start()
    try:
        assert gateway.process is not None
        write_stand_ins(tmp_path / "bin", gateway.process.pid)
        with served(site, gateway) as port, connect_proxy(port) as proxy:
            text = script(guide).replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}")
            environ = {
                **os.environ,
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "https_proxy": f"http://127.0.0.1:{proxy}",
                "no_proxy": "127.0.0.1",
                "CURL_CA_BUNDLE": str(tmp_path / "tls.pem"),
                "SSL_CERT_FILE": str(tmp_path / "tls.pem"),
            }
            words = ["bash", "-c", text]
            done = subprocess.run(
                words,
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        assert done.returncode == 0, f"{done.stderr}\n{done.stdout}\n{gateway.log}"
    finally:
        gateway.stop()


def simple_site(folder: Path, config: str, hosts: list[str]) -> GuideSite:
    """Write a site with an app at each host, for guides without a site of their own."""
    servers = "".join(
        f"server {{ listen 443 ssl; server_name {host}; include authgw/protect.conf;\n"
        "location / { include authgw/identity.conf; proxy_pass http://127.0.0.1:8081; } }\n"
        for host in (*hosts, "auth.example.com")
    )
    gateway = "include authgw/protect.conf;\ninclude authgw/gateway.conf;\n"
    head, _, tail = servers.rpartition("include authgw/protect.conf;\n")
    return GuideSite.write(folder, config, f"{head}{gateway}{tail}")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path, free_port())
    yield process
    if process.process is not None:
        process.stop()


RULES_FROM = """
login: {url: https://auth.example.com/login, cookie_domain: example.com}
rules:
  - {host: app.example.com, from: [203.0.113.0/24], allow: anyone}
  - {host: app.example.com, allow: authenticated}
"""


@pytest.mark.parametrize(("removed", "status"), [("", 401), ("set_real_ip_from 192.0.2.1;\n", 200)])
def test_clients_of_nginx_proxy_manager_cannot_choose_their_address(
    tmp_path: Path, gateway: GatewayProcess, removed: str, status: int
) -> None:
    site = proxy_manager(tmp_path, RULES_FROM)
    file = tmp_path / "nginx.conf"
    file.write_text(file.read_text().replace(removed, "") if removed else file.read_text())
    gateway.start()
    with served(site, gateway) as port, connect_proxy(port) as proxy:
        assert curl(tmp_path, proxy, "-H", "X-Real-IP: 203.0.113.7") == f"{status} "


def test_a_tunnel_names_scheme_and_address(tmp_path: Path, gateway: GatewayProcess) -> None:
    site = GuideSite.write(tmp_path, RULES_FROM, only("cloudflare-tunnel", "site.conf"))
    text = (tmp_path / "nginx.conf").read_text()
    # Without the scaffold's own server with TLS.
    text = text.replace("server { listen 443 ssl default_server; return 421; }\n", "")
    (tmp_path / "nginx.conf").write_text(text)
    gateway.start()
    with served(site, gateway) as port:
        page = {"Host": "app.example.com", "Accept": "text/html", "X-Forwarded-Proto": "https"}
        stranger = ask(port, "GET", "/", {**page, "X-Forwarded-For": "203.0.113.7, 198.51.100.9"})
        known = ask(port, "GET", "/", {**page, "X-Forwarded-For": "198.51.100.9, 203.0.113.7"})
        other = ask(port, "GET", "/", {"Host": "other.example.com"})
    login = "https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2F"
    assert (stranger.status, stranger.headers["Location"]) == (302, login)
    assert login in (HOW_TO / "cloudflare-tunnel.md").read_text()
    assert (known.status, other.status) == (200, 421)


def curl(folder: Path, proxy: int, *words: str) -> str:
    """Send a request to the app by curl; return the status and the target of a redirect."""
    environ = {
        "https_proxy": f"http://127.0.0.1:{proxy}",
        "CURL_CA_BUNDLE": str(folder / "tls.pem"),
    }
    form = ["-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"]
    command = ["curl", *form, *words, "https://app.example.com/"]
    return subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, check=True
    ).stdout
