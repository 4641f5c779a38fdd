"""Fenced blocks of the how-to guides, and the sites that the NGINX blocks are written for."""

import getpass
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificate import write_certificate
from tests.support.nginx_versions import system
from tests.support.processes import ROOT, prepare

HOW_TO = ROOT / "docs" / "how-to"
# Pages with a configuration to copy.
GUIDES = sorted(
    path.stem for path in HOW_TO.glob("*.md") if ' title="config.yml"' in path.read_text()
)
# Guides whose commands need nothing but a gateway, an NGINX and an app.
RUN = ["apis", "backends", "users", "webdav-and-git"]
_FENCE = re.compile(r'^```([a-z]+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_EXPLAIN = re.compile(r"^(authgw rules explain .*?)\s+# (allow|deny|login)$", re.MULTILINE)
_PRINTS = re.compile(r"^(.*?)\s+# prints (\S+)$", re.DOTALL)
# Hosts of all guides, below the domain of their login pages.
_CERTIFIED = ("*.example.com", "*.home.lan")
_LOGIN_SERVER = """
server {
    listen 443 ssl;
    server_name auth.example.com;
    include authgw/protect.conf;
    include authgw/gateway.conf;
    include authgw/login-host.conf;
}
"""


@dataclass(frozen=True)
class GuideBlock:
    """A fenced block of a guide."""

    language: str
    title: str
    text: str

    @property
    def explanations(self) -> list[tuple[list[str], str]]:
        """The words of each `authgw rules explain` in this block, and the claimed verdict."""
        found = [(shlex.split(line), verdict) for line, verdict in _EXPLAIN.findall(self.text)]
        assert len(found) == self.text.count("authgw rules explain"), self.text
        return found


def blocks(guide: str, language: str = "", title: str = "") -> list[GuideBlock]:
    """Return the blocks of a guide with this language and title, if given."""
    text = (HOW_TO / f"{guide}.md").read_text()
    found = [GuideBlock(*match) for match in _FENCE.findall(text)]
    assert len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)) == 2 * len(found), guide
    return [
        block for block in found if language in ("", block.language) and title in ("", block.title)
    ]


def only(guide: str, title: str) -> str:
    """Return the text of the only block with this title."""
    (block,) = blocks(guide, title=title)
    return block.text


def write_secrets(folder: Path, config: str) -> None:
    """Write the files that hold the secrets of the providers of this configuration."""
    for name in re.findall(r"client_secret_file: (\S+)", config):
        secret = folder / name
        secret.parent.mkdir(exist_ok=True)
        secret.write_text("a client secret\n")
        secret.chmod(0o600)


def script(guide: str) -> str:
    """Return all `sh` blocks of a guide as a script that compares what is printed."""
    commands = [
        command
        for block in blocks(guide, "sh")
        for command in re.split(r"(?<!\\)\n(?![ }])", block.text)
        if not command.startswith("authgw rules explain")
    ]
    return "set -euo pipefail\n" + "\n".join(map(_compared, commands)) + "\n"


def _compared(command: str) -> str:
    match = _PRINTS.fullmatch(command)
    if match is None:
        return command
    printed, name = shlex.quote(match[2]), shlex.quote(match[1])
    return f'got=$({match[1]}\n)\n[ "$got" = {printed} ] || {{ echo {name}: $got >&2; exit 1; }}'


@dataclass(frozen=True)
class GuideSite:
    """The configuration of an NGINX whose `http` block includes the recipe and a site.

    Attributes:
        folder: the prefix; `authgw/` in it is the recipe of `config.yml` next to it.
    """

    folder: Path

    @classmethod
    def write(cls, folder: Path, config: str, http: str, *, first: str = "") -> "GuideSite":
        """Write the recipe of a configuration and an nginx.conf.

        `first` replaces the two includes of the recipe in the `http` block.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yml").write_text(config)
        prepare(folder, "nginx", "write", str(folder / "authgw"))
        write_certificate(folder, *_CERTIFIED)
        (folder / "fastcgi_params").write_text("fastcgi_param REQUEST_METHOD $request_method;\n")
        temporary = "".join(
            f"{name}_temp_path {folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"user {getpass.getuser()};\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}"
            f"ssl_certificate tls.pem;\nssl_certificate_key tls.key;\n"
            f"{first or 'include authgw/http.conf;include authgw/upstream.conf;'}\n"
            f"server {{ listen 443 ssl default_server; return 421; }}\n{http}\n}}\n"
        )
        return cls(folder)

    @classmethod
    def of_app(cls, folder: Path, guide: str) -> "GuideSite":
        """Write the site of a guide; the login host is added if the guide does not have it."""
        site = only(guide, "site.conf")
        login = "" if "gateway.conf" in site else _LOGIN_SERVER
        config = blocks(guide, "yaml", "config.yml")[0].text
        return cls.write(folder, config, site + login)

    def command(self, *words: str) -> list[str]:
        """Return the command that starts NGINX with this configuration."""
        return [*system(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), *words]

    def dump(self) -> str:
        """Return the whole configuration, as `nginx -T` prints it after it was tested."""
        words = self.command("-T", "-e", "stderr")
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def proxy_manager(folder: Path, config: str, port: int = 443) -> GuideSite:
    """Write a site as Nginx Proxy Manager does: its `http` block, and a server for each host."""
    guide = "nginx-proxy-manager"
    trusted = "set_real_ip_from 127.0.0.0/8;real_ip_header X-Real-IP;real_ip_recursive on;"
    servers = "".join(
        f"server {{ set $forward_scheme http; set $server 127.0.0.1; set $port 8081;\n"
        f"listen {port} ssl; server_name {host};\n"
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;\n"
        f"proxy_http_version 1.1;\n{only(guide, f'Advanced of {host}')}\n}}\n"
        for host in ("auth.example.com", "app.example.com")
    )
    first = f"{trusted}\nresolver 127.0.0.1;\n{only(guide, 'http_top.conf')}"
    return GuideSite.write(folder, config, servers, first=first)
