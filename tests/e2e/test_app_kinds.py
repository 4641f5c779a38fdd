"""Apps behind FastCGI, uwsgi and SCGI receive the gateway's identity and no forged values."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from authgw.recipes.cleared import CLEARED
from tests.support.nginx import NginxFront, running_site
from tests.support.nginx_versions import NGINXES
from tests.support.processes import ask

_WSGI = """\
import json

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    seen = {name: str(value) for name, value in environ.items() if not name.startswith("uwsgi.")}
    return [json.dumps(seen).encode()]
"""
_PHP = "<?php header('Content-Type: application/json'); echo json_encode($_SERVER);"
_FPM = """\
[global]
error_log = {folder}/fpm.log
[www]
listen = {folder}/php.sock
pm = static
pm.max_children = 1
"""
KINDS = {
    "php": ("fastcgi", "php.sock"),
    "fastcgi": ("fastcgi", "fastcgi.sock"),
    "uwsgi": ("uwsgi", "uwsgi.sock"),
    "scgi": ("scgi", "scgi.sock"),
}
_OURS = {
    "__Host-authgw": "1",
    "__Secure-authgw": "2",
    "authgw": "3",
    "__Secure-authgw-csrf": "4",
    "authgw-flow-x": "5",
}
_COOKIES = "; ".join(f"{name}=secret{value}" for name, value in _OURS.items())


def _location(kind: str, where: str, folder: Path, *, after: bool = False) -> str:
    protocol, socket = KINDS[kind]
    standard, identity = (
        f"include /etc/nginx/{protocol}_params;",
        f"include authgw/identity-{protocol}.conf;",
    )
    includes = f"{identity} {standard}" if after else f"{standard} {identity}"
    script = f"fastcgi_param SCRIPT_FILENAME {folder}/echo.php; " if kind == "php" else ""
    public = "auth_request off; " if where.startswith("public") else ""
    return (
        f"    location /{where}/{kind} {{ {public}{includes} {script}"
        f"{protocol}_pass unix:{folder}/{socket}; }}\n"
    )


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("apps")
    (folder / "echo.py").write_text(_WSGI)
    (folder / "echo.php").write_text(_PHP)
    (folder / "fpm.conf").write_text(_FPM.format(folder=folder))
    commands = [
        [_program("php-fpm8.2", "php-fpm"), "-F", "-R", "-y", str(folder / "fpm.conf")],
        [
            *(_program("uwsgi", "uwsgi-core uwsgi-plugin-python3"), "--plugin", "python3"),
            *("--master", "--need-app", "--wsgi-file", str(folder / "echo.py")),
            *("--fastcgi-socket", str(folder / "fastcgi.sock")),
            *("--uwsgi-socket", str(folder / "uwsgi.sock")),
            *("--scgi-socket", str(folder / "scgi.sock")),
            *("--buffer-size", "65535", "--die-on-term"),
        ],
    ]
    with (folder / "log").open("wb") as log:
        started = [
            subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) for command in commands
        ]
    try:
        for _, socket in KINDS.values():
            _wait_for(folder / socket, folder)
        yield folder
    finally:
        for process in started:
            process.terminate()
            process.wait(20)


def _program(name: str, package: str) -> str:
    program_path = shutil.which(name, path="/usr/sbin:/usr/bin")
    if program_path is None:
        pytest.fail(f"{name} is missing: apt-get install {package}")
    return program_path


def _wait_for(socket: Path, folder: Path) -> None:
    for _ in range(300):
        if socket.exists():
            socket.chmod(0o666)
            return
        time.sleep(0.05)
    pytest.fail(f"{socket.name} was not opened:\n{(folder / 'log').read_text()[-2000:]}")


@dataclass
class App:
    site: NginxFront
    kind: str
    token: str

    def variables(
        self, where: str, headers: dict[str, str], *, authenticated: bool = True
    ) -> dict[str, Any]:
        """Return the variables that the app received with this request."""
        cookie = headers.get("Cookie", "")
        bearer = {"Authorization": f"Bearer {self.token}"} if authenticated else {}
        sent = {**bearer, **headers, **({"Cookie": cookie} if cookie else {})}
        answer = ask(self.site.port, "GET", f"/{where}/{self.kind}?a=b%2Fc", sent)
        assert answer.status == 200, answer
        variables: dict[str, Any] = json.loads(answer.body)
        return variables


@pytest.fixture(scope="module", params=NGINXES)
def served(
    request: pytest.FixtureRequest, apps: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NginxFront]:
    extra = "".join(
        _location(kind, where, apps, after=where.endswith("after"))
        for kind in KINDS
        for where in ("app", "public", "after", "publicafter")
    )
    folder = tmp_path_factory.mktemp("kinds")
    apps.chmod(0o755)
    yield from running_site(folder, extra, program=NGINXES[request.param]())


@pytest.fixture(params=KINDS)
def app(request: pytest.FixtureRequest, served: NginxFront) -> App:
    pair = served.gateway.login(7, groups=["users"], email="a@example.com")
    return App(served, request.param, pair["access"])


@pytest.mark.parametrize("where", ["app", "after"])
def test_the_app_receives_the_identity(app: App, where: str) -> None:
    variables = app.variables(where, {"Cookie": f"a=1; {_COOKIES}; b=2"})
    assert variables["HTTP_REMOTE_USER"] == "7"
    assert variables["HTTP_REMOTE_GROUPS"] == "users"
    assert variables["HTTP_REMOTE_EMAIL"] == "a@example.com"
    assert variables.get("HTTP_REMOTE_NAME", "") == ""
    assert variables["HTTP_COOKIE"] == "a=1; b=2"
    assert (variables["REQUEST_METHOD"], variables["QUERY_STRING"]) == ("GET", "a=b%2Fc")
    assert variables["REMOTE_ADDR"] == "127.0.0.1"
    if where == "app":
        assert variables["REMOTE_USER"] == "7"
        assert variables["HTTP_HOST"] == "localhost"
        assert variables["SERVER_NAME"] == "localhost"
        assert variables["SERVER_PORT"] == "80"
        assert variables["REQUEST_SCHEME"] == "http"
        assert variables.get("HTTPS", "") == ""


def test_session_cookies_do_not_reach_the_app_in_any_order(app: App) -> None:
    for where in ("app", "after", "public", "publicafter"):
        variables = app.variables(
            where, {"Cookie": _COOKIES}, authenticated=where in ("app", "after")
        )
        assert "secret" not in json.dumps(variables)


@pytest.mark.parametrize("name", ["Remote-User", "remote_user", "Remote.User", "Remote_Groups"])
def test_a_client_cannot_claim_an_identity(app: App, name: str) -> None:
    for where in ("public", "publicafter"):
        variables = app.variables(where, {name: "admin"}, authenticated=False)
        assert "admin" not in json.dumps(variables)
        assert variables.get("HTTP_REMOTE_USER", "") == variables.get("REMOTE_USER", "") == ""
    answer = ask(app.site.port, "GET", f"/app/{app.kind}", {name: "admin"})
    assert answer.status in (401, 403)


def test_a_foreign_user_name_is_not_the_identity(app: App) -> None:
    # $remote_user, which some versions of fastcgi_params pass on.
    variables = app.variables(
        "public", {"Authorization": "Basic YWRtaW46eA=="}, authenticated=False
    )
    assert variables.get("REMOTE_USER", "") == ""
    assert variables["HTTP_AUTHORIZATION"] == "Basic YWRtaW46eA=="


def test_a_client_cannot_set_proxy_headers(app: App) -> None:
    for where in ("public", "publicafter"):
        for names in (CLEARED[::2], CLEARED[1::2]):
            sent = dict.fromkeys(names, "forged")
            sent |= {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"}
            sent |= {"X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "evil"}
            # A number could occur in the client's own port by chance.
            sent |= {"X-Forwarded-Port": "forged"}
            variables = app.variables(where, sent, authenticated=False)
            text = json.dumps(variables)
            assert not [word for word in ("forged", "6.6.6.6", "gopher", "evil") if word in text]
            assert "HTTP_PROXY" not in variables
        assert variables["HTTP_X_FORWARDED_PROTO"] == "http"
        assert variables["HTTP_X_REAL_IP"] == "127.0.0.1"


def test_no_warning_is_logged(served: NginxFront) -> None:
    assert "[warn]" not in served.log, served.log[:2000]
