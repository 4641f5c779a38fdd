"""NGINX with the shipped files, only ports and names changed; and an app that costs little."""

import getpass
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.http import Address
from bench.outcome import NotMeasured
from bench.processes import find

ROOT = Path(__file__).parents[1]
HOST = "app.example.com"
_SHIPPED = ROOT / "nginx"
_APP = """pid nginx.pid; error_log stderr crit; events {{}}
http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy;
fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000; return 200 "ok\\n"; }} }}
"""
# The same proxying as in the shipped site, without the gateway.
_UNPROTECTED = """location / {
        proxy_pass http://sample;
        proxy_set_header Host $http_host;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }"""


def app(folder: Path, port: int) -> list[str]:
    """The command of an app that answers 200 on this port."""
    (folder / "nginx.conf").write_text(_APP.format(port=port))
    return _command(folder, folder / "nginx.conf")


def front(folder: Path, port: int, gateways: Sequence[Address], app: int) -> list[str]:
    """The command of the shipped site on this port, before these gateways and this app."""
    conf = folder / "conf"
    shutil.copytree(_SHIPPED, conf)
    servers = "\n    ".join(f"server {_server(one)} max_fails=0;" for one in gateways)
    _change(conf / "authgw" / "upstream.conf", r"server 127\.0\.0\.1:8080[^;]*;", servers)
    _change(conf / "sample.conf", r"127\.0\.0\.1:8081", f"127.0.0.1:{app}")
    _change(conf / "site.conf", r"listen 4000", f"listen 127.0.0.1:{port}")
    _change(conf / "site.conf", r"server_name ", f"server_name {HOST} ")
    return _command(folder, conf / "nginx.conf")


def unprotect(folder: Path) -> None:
    """Return the site without the gateway."""
    site = folder / "conf" / "site.conf"
    _change(site, r" *include authgw/(protect|gateway)\.conf;\n", "")
    _change(site, r"location / \{[^}]*\}", _UNPROTECTED)


def has_cache() -> bool:
    """Return True if the shipped files can cache responses."""
    return (_SHIPPED / "authgw" / "cache.conf").exists()


def cache(folder: Path) -> None:
    """Include cache.conf where its directives are allowed: in http, or else in the server."""
    conf = folder / "conf"
    text = (conf / "authgw" / "cache.conf").read_text()
    file, before = (
        ("nginx.conf", "http") if "proxy_cache_path" in text else ("site.conf", "protect")
    )
    line = f"include authgw/{before}.conf;"
    _change(conf / file, re.escape(line), f"{line}\n    include authgw/cache.conf;")


def _change(file: Path, pattern: str, new: str) -> None:
    text, found = re.subn(pattern, lambda _: new, file.read_text())
    if not found:
        raise NotMeasured(f"nginx/{file.name} holds no {pattern}: bench/nginx.py must learn it")
    file.write_text(text)


def _server(address: Address) -> str:
    return f"127.0.0.1:{address}" if isinstance(address, int) else f"unix:{address}"


def _command(folder: Path, config: Path) -> list[str]:
    options = f"daemon off; user {getpass.getuser()};"
    return [find("nginx"), "-p", str(folder), "-c", str(config), "-e", "stderr", "-g", options]
