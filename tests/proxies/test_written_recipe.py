"""Recipes for a configuration with other names than those of the examples."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import prepare
from tests.support.proxies import (
    BROWSER,
    EXAMPLES,
    HOST,
    LOGIN,
    LOGIN_HOST,
    Proxied,
    lower,
    running,
    told,
)

HEADERS = {"user": "X-WEBAUTH-USER", "groups": "X-Groups", "email": "X-Mail", "name": "X-Name"}
CONFIG = f"""\
server: {{socket: SOCKET, trusted_proxies: [unix, 127.0.0.1/32]}}
login: {{url: "{LOGIN}/sso/login"}}
headers: {{user: X-WEBAUTH-USER, groups: X-Groups, email: X-Mail, name: X-Name}}
rules:
  - {{host: {HOST}, path: /public/**, allow: anyone}}
  - {{host: {HOST}, allow: authenticated}}
  - {{host: {LOGIN_HOST}, allow: "group:admins"}}
"""


@pytest.fixture(scope="module", params=EXAMPLES)
def renamed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    """The proxy reaches the gateway by its socket if it can, and the login page has a path."""
    folder = tmp_path_factory.mktemp("named")
    config = CONFIG.replace("SOCKET", str(folder / "authgw.sock"))
    yield from running(request.param, folder, config=config, edit=_protected, written=True)


def _protected(text: str) -> str:
    # In a Caddyfile, the site of the login host protects its app like any other site.
    return text.replace("import authgw_login\n", "import authgw_login\n\t\timport authgw_protect\n")


def test_the_app_receives_the_configured_headers(renamed: Proxied) -> None:
    for forged in ([], [("Remote-User", "root"), ("Remote_Groups", "admins")]):
        answer = renamed.send("/page", *forged, token=renamed.login(3, "users"))
        if answer.status == 400 and forged:
            continue  # Envoy refuses underscores
        assert answer.status == 200
        received = dict(told(answer))
        assert (received["x-webauth-user"], received["x-groups"]) == ("3", "users")
        assert "root" not in str(received)
    for name in HEADERS.values():
        assert renamed.send("/page", (name, "root"), token=renamed.login()).status == 403
        dropping = [(name, "root"), ("Connection", name)]
        answer = renamed.send("/page", *dropping, token=renamed.login(3, "users"))
        # Envoy removes the client's header before the check.
        assert answer.status == 403 or dict(told(answer))["x-webauth-user"] == "3"
        assert b"root" not in answer.body
    assert renamed.send("/page").status == 401


def test_the_login_page_is_below_its_path(renamed: Proxied) -> None:
    page = renamed.send("/sso/login", *BROWSER, host=LOGIN_HOST)
    assert page.status == 200
    assert b'action="/sso/login"' in page.body
    style = renamed.send("/sso/login/style.css", host=LOGIN_HOST)
    assert lower(style)["content-type"] == "text/css; charset=utf-8"
    where = lower(renamed.send("/page", *BROWSER))["location"]
    assert where.startswith(f"{LOGIN}/sso/login?rd=")


@pytest.mark.parametrize(
    "path", ["/sso/revoke", "/revoke", "/login", "/", "/sso/healthz", "/sso/", "/favicon.ico"]
)
def test_all_other_paths_of_the_login_host_are_checked(renamed: Proxied, path: str) -> None:
    """A rule names the login host, so an app is there."""
    for token, refused in (("", 401), (renamed.login(), 403)):
        assert renamed.send(path, host=LOGIN_HOST, token=token).status in (refused, 404)


def test_a_gateway_that_stops_opens_nothing(renamed: Proxied) -> None:
    token = renamed.login()
    renamed.gateway.stop()
    answer = renamed.send("/page", *BROWSER, token=token)
    assert answer.status == (500 if renamed.name == "traefik" else 503)
    assert renamed.name == "traefik" or b"Not available right now" in answer.body
    answer = renamed.send("/sso/login", *BROWSER, host=LOGIN_HOST)
    assert answer.status in (500, 502, 503)
    renamed.gateway.start()
    renamed.gateway.wait_until_ready()


@pytest.mark.parametrize("name", ["traefik", "envoy"])
def test_a_new_recipe_is_loaded_without_a_reload(name: str, tmp_path: Path) -> None:
    for proxied in running(name, tmp_path):
        assert proxied.send("/sso/ping", host=LOGIN_HOST).status == 404
        own = {"AUTHGW_SERVER__PORT": str(proxied.gateway.port)}
        own["AUTHGW_LOGIN__URL"] = f"{LOGIN}/sso/login"
        prepare(proxied.gateway.folder, name, "write", str(tmp_path / name), "--force", **own)
        for _ in range(200):
            if proxied.send("/sso/ping", host=LOGIN_HOST).body == b"pong":
                break
            time.sleep(0.05)
        else:
            pytest.fail("the new recipe was not loaded")
        assert proxied.send("/ping", host=LOGIN_HOST).body != b"pong"
