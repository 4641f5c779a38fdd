"""App passwords, and an app's own Authorization header, through each proxy."""

from base64 import b64encode

from tests.support.foreign_authorization import FOREIGN, OF_A_CONNECTION
from tests.support.processes import ask
from tests.support.proxies import Proxied, lower, only_as, told

# By the gateway; by NGINX if there are two lines of Authorization.
REFUSED = (401, 400)


def test_an_app_password_opens_its_own_path_alone(proxied: Proxied) -> None:
    def by(user: str, secret: str) -> tuple[str, str]:
        return ("Authorization", f"Basic {b64encode(f'{user}:{secret}'.encode()).decode()}")

    right = by("alice", proxied.program)
    for method in ("GET", "PROPFIND", "PUT"):
        answer = proxied.send("/dav/x", right, method=method)
        assert answer.status == 200
        only_as(answer, "alice", "")
    challenge = 'Basic realm="authgw", Bearer realm="authgw"'
    for headers in ([], [by("alice", "authgw-wrong")], [by("bob", proxied.program)]):
        answer = proxied.send("/dav/x", *headers)
        assert answer.status == 401
        assert lower(answer)["www-authenticate"].startswith(challenge)
        assert lower(answer)["www-authenticate"].count("Basic") == 1
    for path in ("/page", "/admin/x", "/vault/x", "/davx"):
        answer = proxied.send(path, right)
        assert answer.status == 401
        assert "Basic" not in lower(answer)["www-authenticate"]
    # In turn, credentials of other paths are not valid for this path.
    assert proxied.send("/dav/x", ("Cookie", proxied.browser())).status == 401
    assert proxied.send("/dav/x", token=proxied.login()).status == 401


def test_an_apps_own_authorization_passes_next_to_a_cookie(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    for name, lines in FOREIGN.items():
        sent = [("Authorization", line) for line in lines]
        answer = proxied.send("/page", cookie, *sent)
        assert answer.status == accepted(proxied, lines), name
        if answer.status == 200:
            only_as(answer, "alice", "")
            arrived = [value for header, value in told(answer) if header == "authorization"]
            assert arrived == lines, name
        for path, headers in (("/page", sent), ("/own/x", [cookie, *sent]), ("/dav/x", sent)):
            assert proxied.send(path, *headers).status in REFUSED, (name, path)
        # A public page requires no credentials.
        status = proxied.send("/public/x", *sent).status
        assert status == 200 or (proxied.name, len(lines)) == ("nginx", 2), name


def accepted(proxied: Proxied, lines: list[str]) -> int:
    """Return the expected status of a request with these foreign lines.

    Not every proxy forwards two lines: NGINX refuses them, Envoy joins them, and the gateway
    refuses the result.
    """
    return {"nginx": 400, "envoy": 401}.get(proxied.name, 200) if len(lines) > 1 else 200


def test_connection_authentication_passes_only_if_the_rule_allows_it(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    for name, lines in OF_A_CONNECTION.items():
        sent = [("Authorization", line) for line in lines]
        assert proxied.send("/page", cookie, *sent).status in REFUSED, name
        answer = proxied.send("/kerberos/x", cookie, *sent)
        assert answer.status == accepted(proxied, lines), name
        if answer.status == 200:
            only_as(answer, "alice", "")


def test_an_authgw_token_next_to_a_cookie_must_be_valid(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    ended = proxied.login()
    logout = ask(proxied.gateway.port, "POST", "/logout", {"Authorization": f"Bearer {ended}"})
    assert logout.status == 200
    ours, secret = f"Bearer {ended}", proxied.program
    for lines in (
        [ours],
        [f"Token {ended}"],
        [f"Bearer {ended[:-3]}"],
        [f"Bearer {secret}"],
        [f"Basic {b64encode(f'alice:{secret}'.encode()).decode()}"],
        # Envoy joins two lines.
        ["Basic eDp5", ours],
        [ours, "Basic eDp5"],
        [f"Basic eDp5,{ours}"],
        [f"Token {'x' * 8192}"],
    ):
        sent = [("Authorization", line) for line in lines]
        refused = (400,) if proxied.name == "nginx" and len(lines) > 1 else (401,)
        assert proxied.send("/page", cookie, *sent).status in refused, lines
    assert proxied.send("/page", cookie).status == 200
