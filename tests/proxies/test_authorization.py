"""App passwords, and an app's own Authorization header, through each proxy."""

from base64 import b64encode

from tests.support.foreign_authorization import FOREIGN, OF_A_CONNECTION
from tests.support.processes import ask
from tests.support.proxies import Proxied, lower, only_as, told

# By the gateway; or by NGINX, for two lines of Authorization.
REFUSED = (401, 400)


def test_an_app_password_opens_its_own_path_alone(proxied: Proxied) -> None:
    def by(user: str, secret: str) -> tuple[str, str]:
        return ("Authorization", f"Basic {b64encode(f'{user}:{secret}'.encode()).decode()}")

    right = by("alice", proxied.program)
    for method in ("GET", "PROPFIND", "PUT"):
        answer = proxied.send("/dav/x", right, method=method)
        assert answer.status == 200
        only_as(answer, "alice", "")
    asked = 'Basic realm="authgw", Bearer realm="authgw"'
    for headers in ([], [by("alice", "authgw-wrong")], [by("bob", proxied.program)]):
        answer = proxied.send("/dav/x", *headers)
        assert answer.status == 401
        assert lower(answer)["www-authenticate"].startswith(asked)
        assert lower(answer)["www-authenticate"].count("Basic") == 1
    for path in ("/page", "/admin/x", "/vault/x", "/davx"):
        answer = proxied.send(path, right)
        assert answer.status == 401
        assert "Basic" not in lower(answer)["www-authenticate"]
    # Nor does the path take what opens the others.
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
        # Of a public page nothing is asked.
        status = proxied.send("/public/x", *sent).status
        assert status == 200 or (proxied.name, len(lines)) == ("nginx", 2), name


def accepted(proxied: Proxied, lines: list[str]) -> int:
    """The status of a request with these foreign lines: two of them not every proxy passes on.

    NGINX refuses them. Envoy makes one of them, which the gateway refuses.
    """
    return {"nginx": 400, "envoy": 401}.get(proxied.name, 200) if len(lines) > 1 else 200


def test_what_authenticates_a_connection_passes_where_the_rule_says_so(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    for name, lines in OF_A_CONNECTION.items():
        sent = [("Authorization", line) for line in lines]
        assert proxied.send("/page", cookie, *sent).status in REFUSED, name
        answer = proxied.send("/kerberos/x", cookie, *sent)
        assert answer.status == accepted(proxied, lines), name
        if answer.status == 200:
            only_as(answer, "alice", "")


def test_ours_must_hold_next_to_a_cookie(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    ended = proxied.login()
    gone = ask(proxied.gateway.port, "POST", "/logout", {"Authorization": f"Bearer {ended}"})
    assert gone.status == 200
    ours, secret = f"Bearer {ended}", proxied.program
    for lines in (
        [ours],
        [f"Token {ended}"],
        [f"Bearer {ended[:-3]}"],
        [f"Bearer {secret}"],
        [f"Basic {b64encode(f'alice:{secret}'.encode()).decode()}"],
        # Envoy makes one line of two.
        ["Basic eDp5", ours],
        [ours, "Basic eDp5"],
        [f"Basic eDp5,{ours}"],
        [f"Token {'x' * 8192}"],
    ):
        sent = [("Authorization", line) for line in lines]
        refused = (400,) if proxied.name == "nginx" and len(lines) > 1 else (401,)
        assert proxied.send("/page", cookie, *sent).status in refused, lines
    assert proxied.send("/page", cookie).status == 200
