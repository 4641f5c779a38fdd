"""NGINX with the shipped files, with changed ports and names, and an app of minimal cost."""

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


def app(directory: Path, port: int) -> list[str]:
    """Return the command of an app that responds with 200 on this port."""
    (directory / "nginx.conf").write_text(_APP.format(port=port))
    return _command(directory, directory / "nginx.conf")


def front(directory: Path, port: int, gateways: Sequence[Address], app: int) -> list[str]:
    """Return the command of the shipped site on this port, for these gateways and this app."""
    conf = directory / "conf"
    shutil.copytree(_SHIPPED, conf)
    servers = "\n    ".join(f"server {_server(address)} max_fails=0;" for address in gateways)
    _change(conf / "authgw" / "upstream.conf", r"server 127\.0\.0\.1:8080[^;]*;", servers)
    _change(conf / "sample.conf", r"127\.0\.0\.1:8081", f"127.0.0.1:{app}")
    _change(conf / "site.conf", r"listen 4000", f"listen 127.0.0.1:{port}")
    _change(conf / "site.conf", r"server_name ", f"server_name {HOST} ")
    return _command(directory, conf / "nginx.conf")


def unprotect(directory: Path) -> None:
    """Remove the gateway from the site."""
    site = directory / "conf" / "site.conf"
    _change(site, r" *include authgw/(protect|gateway)\.conf;\n", "")
    _change(site, r"location / \{[^}]*\}", _UNPROTECTED)


def has_cache() -> bool:
    """Return True if the shipped files support a cache of responses."""
    return (_SHIPPED / "authgw" / "cache.conf").exists()


def cache(directory: Path) -> None:
    """Include cache.conf in the context that allows its directives: http, else server."""
    conf = directory / "conf"
    text = (conf / "authgw" / "cache.conf").read_text()
    file, before = (
        ("nginx.conf", "http") if "proxy_cache_path" in text else ("site.conf", "protect")
    )
    line = f"include authgw/{before}.conf;"
    _change(conf / file, re.escape(line), f"{line}\n    include authgw/cache.conf;")


def _change(file: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, lambda _: new, file.read_text())
    if not count:
        raise NotMeasured(f"nginx/{file.name} holds no {pattern}: bench/nginx.py must learn it")
    file.write_text(text)


def _server(address: Address) -> str:
    return f"127.0.0.1:{address}" if isinstance(address, int) else f"unix:{address}"


def _command(directory: Path, config: Path) -> list[str]:
    options = f"daemon off; user {getpass.getuser()};"
    return [find("nginx"), "-p", str(directory), "-c", str(config), "-e", "stderr", "-g", options]
