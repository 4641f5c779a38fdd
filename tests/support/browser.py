"""The single-sign-on example with other names and ports, for a real browser."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from tests.support.nginx import run_nginx
from tests.support.processes import (
    AUTHGW,
    ISSUED,
    ROOT,
    GatewayProcess,
    free_port,
    make_gateway,
    prepare,
    wait_for,
)

PASSWORD = "correct horse battery staple"


# A location whose checks lack the Cookie header: a misconfigured proxy.
_WITHOUT_COOKIE = """
location = /_without_cookie {
    internal;
    proxy_pass http://authgw/authenticate;
    include authgw/question.conf;
    proxy_set_header Cookie "";
}
location /loop {
    auth_request /_without_cookie;
    include authgw/identity.conf;
    proxy_pass http://app;
}
"""
# A host that no rule names.
_RULELESS = """
server {
    listen 443 ssl;
    server_name ruleless.example.localhost;
    include authgw/protect.conf;
    location / { include authgw/identity.conf; proxy_pass http://app; }
}
"""


@dataclass
class Sso:
    """The example: auth, app and wiki below a common domain, with their own gateway."""

    gateway: GatewayProcess
    port: int
    folder: Path
    scheme: str = "http"
    domain: str = "example.localhost"

    def url(self, host: str, path: str = "/") -> str:
        return f"{self.scheme}://{host}.{self.domain}:{self.port}{path}"

    def user(self, name: str, *groups: str, password: str = PASSWORD, full: str = "") -> str:
        words = [word for group in groups for word in ("--group", group)]
        words += ["--full-name", full] if full else []
        words = ["user", "add", name, "--password-stdin", *words]
        prepare(self.gateway.folder, *words, stdin=f"{password}\n")
        if self.gateway.process is not None:
            self.wait_for_the_file()
        return name

    def wait_for_the_file(self) -> None:
        """Wait until a gateway must have seen a change of the users file."""
        time.sleep(1.2)


def sso(
    folder: Path,
    *,
    scheme: str = "http",
    domain: str = "example.localhost",
    more: str = "",
    login: str = "",
) -> Iterator[Sso]:
    """Run the example as shipped but for its names, ports and, with http, its certificate.

    `more` are further sections of its configuration, `login` further lines of that section.
    """
    port = free_port()
    gateway = make_gateway(folder / "gateway")

    def localised(text: str) -> str:
        text = re.sub(r"https://(\w+)\.example\.com", rf"{scheme}://\1.{domain}:{port}", text)
        return text.replace("example.com", domain)

    config = localised((ROOT / "examples/sso/config.yml").read_text()) + more
    config = re.sub(r"^login:\n", f"login:\n{login}", config, flags=re.MULTILINE)
    (gateway.folder / "config.yml").write_text(config)
    made = Sso(gateway, port, folder, scheme, domain)
    made.user("alice", "writers", full="Alice Example")
    made.user("bob")
    gateway.start()
    samples = [free_port(), free_port()]
    apps = [
        subprocess.Popen(
            [str(AUTHGW), "sample-upstream", "--port", str(sample)], env=dict(os.environ)
        )
        for sample in samples
    ]
    site = localised((ROOT / "examples/sso/site.conf").read_text())
    site = site.replace("8081", str(samples[0])).replace("8082", str(samples[1]))
    # An app that redirects to another app.
    redirect = f"location = /leads-on {{ auth_request off; return 302 {made.url('wiki', '/on')}; }}"
    # Over https the site is used as shipped.
    misconfigured = _WITHOUT_COOKIE if scheme == "http" else ""
    site = site.replace(
        f"server_name app.{domain};", f"server_name app.{domain};\n{redirect}\n{misconfigured}"
    )
    if scheme == "http":
        site += _RULELESS
        site = re.sub(r"^ssl_.*\n", "", site, flags=re.MULTILINE)
        site = site.replace("listen 443 ssl", f"listen {port}")
    else:
        _certify(folder, domain)
        site = site.replace("listen 443", f"listen {port}")
    nginx, _ = run_nginx(
        folder / "nginx", gateway=gateway.port, sample=samples[0], site=site, port=port
    )
    try:
        for sample in samples:
            wait_for(sample)
        gateway.wait_until_ready()
        yield made
    finally:
        for process in (nginx, *apps):
            process.terminate()
            process.wait(10)
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.stop()


def _certify(folder: Path, domain: str) -> None:
    target = folder / "nginx" / "conf"
    target.mkdir(parents=True)
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN=*.{domain}", "-addext", f"subjectAltName=DNS:*.{domain}"),
            *("-keyout", str(target / f"{domain}.key"), "-out", str(target / f"{domain}.pem")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr


def log_in(page: Page, user: str, password: str = PASSWORD) -> None:
    ISSUED.add(password)
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
