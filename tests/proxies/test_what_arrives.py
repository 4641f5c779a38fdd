"""Headers that reach an app through each proxy, headers that must not, and long return URLs."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from authgw.recipes.cleared import CLEARED
from tests.support.proxies import BROWSER, HOST, LOGIN, Proxied, lower, told

# Apps trust these headers of their proxy: the client's scheme, address and certificate, and the
# path that a reverse proxy removed.
TRUSTED = [
    ("X-Forwarded-Tls-Client-Cert", "MIIB-forged"),
    ("X-Forwarded-Tls-Client-Cert-Info", "Subject=forged"),
    ("X-Forwarded-Prefix", "/forged"),
    ("X-Forwarded-Path", "/forged"),
    ("X-Forwarded-Port", "4711"),
    ("X-Forwarded-Scheme", "forged"),
    ("X-Forwarded-Ssl", "forged"),
    ("X-Forwarded-User", "forged"),
    ("X-Forwarded-Server", "forged.example"),
    ("X-Forwarded-Host", "forged.example"),
    ("X-Forwarded-For", "203.0.113.66"),
    ("X-Real-IP", "203.0.113.66"),
    ("X-Client-IP", "203.0.113.66"),
    ("X-Cluster-Client-IP", "203.0.113.66"),
    ("True-Client-IP", "203.0.113.66"),
    ("X-Scheme", "forged"),
    ("X-Url-Scheme", "forged"),
    ("Front-End-Https", "forged"),
    ("Forwarded", "for=203.0.113.66;host=forged.example"),
    ("Proxy", "http://forged.example"),
    ("X-Original-URI", "/forged"),
    ("X-Rewrite-URL", "/forged"),
]
_NAMED = {name.lower() for name, _ in TRUSTED}
# The gateway denies a request with any of the four headers that it sends itself.
_SENT = ("remote-user", "remote-groups", "remote-email", "remote-name")
TRUSTED += [(name, "forged") for name in CLEARED if name.lower() not in (*_NAMED, *_SENT)]


@pytest.mark.parametrize(("name", "value"), TRUSTED, ids=[name for name, _ in TRUSTED])
def test_a_client_cannot_set_the_proxys_headers(proxied: Proxied, name: str, value: str) -> None:
    for path, token in (("/public/x", ""), ("/page", proxied.login())):
        answer = proxied.send(path, (name, value), token=token)
        # NGINX and Envoy forward X-Rewrite-URL to the gateway, which checks it.
        assert answer.status in (200, 401, 403), (path, answer)
        if answer.status == 200:
            arrived = [(one, said) for one, said in told(answer) if value in said]
            assert not arrived, arrived


@pytest.mark.parametrize(
    "name", ["X_Forwarded_User", "X_Real_Ip", "X_Webauth_User", "X-Forwarded_Prefix"]
)
def test_other_spellings_of_the_proxys_headers_are_removed(proxied: Proxied, name: str) -> None:
    answer = proxied.send("/public/x", (name, "forged"))
    assert answer.status in (200, 400, 403)
    # Traefik forwards them, as its README states.
    assert answer.status != 200 or proxied.name == "traefik" or b"forged" not in answer.body


OURS = ("authgw", "__Host-authgw", "__Secure-authgw", "authgw-csrf", "__Secure-authgw-device")
MANY = "; ".join(f"{name}{suffix}=x{suffix}" for name in OURS for suffix in ("", "-a", "-flow-b"))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("__Host-authgw-flow-abc=x; a=1", {"a=1"}),
        ("a=1; authgw-login=x; __Secure-authgw-device=y; b=2", {"a=1", "b=2"}),
        ("a=1; __Host-authgw-=x", {"a=1"}),
        ("authgwx=1; my-authgw=2; xauthgw-a=3; __Host-authgw2=4", None),
        ("a=__Host-authgw; b=authgw-x", None),
    ],
)
def test_cookies_with_the_authgw_prefix_do_not_reach_the_app(
    proxied: Proxied, sent: str, kept: set[str] | None
) -> None:
    for path, token in (("/page", proxied.login()), ("/public/x", "")):
        answer = proxied.send(path, ("Cookie", sent), token=token)
        assert answer.status == 200
        lines = [value for name, value in told(answer) if name == "cookie"]
        received = {pair.strip() for line in lines for pair in line.split(";")} - {""}
        assert received == (set(sent.split("; ")) if kept is None else kept)


def test_any_number_of_session_cookies_is_removed(proxied: Proxied) -> None:
    for line in (MANY, f"a=1; {MANY}; b=2"):
        answer = proxied.send("/public/x", ("Cookie", line))
        assert answer.status == 200
        arrived = "".join(value for name, value in told(answer) if name == "cookie")
        assert "authgw" not in arrived


@pytest.mark.parametrize("size", [100, 2_700, 4_096, 8_000])
def test_a_long_link_leads_to_the_login_page_and_back(proxied: Proxied, size: int) -> None:
    path = "/page?q=" + "%C3%A9" * ((size - 40) // 6)
    answer = proxied.send(path, *BROWSER)
    assert answer.status == 302
    where = lower(answer)["location"]
    assert where.startswith(f"{LOGIN}/login?rd=")
    assert parse_qs(urlsplit(where).query)["rd"] == [f"http://{HOST}{path}"]


def test_a_longer_link_still_leads_to_the_login_page(proxied: Proxied) -> None:
    answer = proxied.send("/page?q=" + "%C3%A9" * 2_000, *BROWSER)
    assert answer.status == 302
    assert lower(answer)["location"].startswith(f"{LOGIN}/login")


@pytest.mark.parametrize("method", ["POST"])
def test_a_browser_that_navigates_by_post_is_sent_to_log_in(proxied: Proxied, method: str) -> None:
    back = f"http://{HOST}/form?step=1"
    headers = [*BROWSER, ("Sec-Fetch-Dest", "document"), ("Referer", back)]
    answer = proxied.send("/submit", *headers, method=method, body=b"a=1")
    assert answer.status == 303
    where = lower(answer)["location"]
    assert where.startswith(f"{LOGIN}/login")
    assert "submit" not in unquote(where)
    assert parse_qs(urlsplit(where).query)["rd"] == [back]


def test_a_script_that_posts_gets_401(proxied: Proxied) -> None:
    headers = [("Accept", "text/html"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")]
    assert proxied.send("/submit", *headers, method="POST", body=b"a=1").status == 401


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_a_destination_is_checked_like_the_target(proxied: Proxied, method: str) -> None:
    user = proxied.login(3, "users")
    own, other = f"http://{HOST}/files/b", f"http://{HOST}/admin/b"
    assert proxied.send("/files/a", ("Destination", own), method=method, token=user).status == 200
    for forbidden in (other, "/admin/b", f"http://{HOST}/x/../admin/b", "http://else.test/files/b"):
        answer = proxied.send("/files/a", ("Destination", forbidden), method=method, token=user)
        assert answer.status == 403, forbidden
    assert proxied.send("/files/a", method=method, token=user).status == 403


@pytest.mark.parametrize(
    "name",
    ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method-OVERRIDE"],
)
def test_an_overriding_method_must_be_allowed_too(proxied: Proxied, name: str) -> None:
    """Only GET and POST of /read/** are allowed to everyone."""
    assert proxied.send("/read/x", method="POST", body=b"a").status == 200
    for method in ("DELETE", "delete", "PUT, GET"):
        answer = proxied.send("/read/x", (name, method), method="POST", body=b"a")
        assert answer.status in (401, 403), method


@pytest.mark.parametrize(
    ("headers", "is_page"),
    [
        ([("Accept", "*/*"), ("Sec-Fetch-Mode", "navigate")], True),
        ([("Accept", "application/xhtml+xml")], True),
        ([("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")], False),
        ([("Accept", "*/*")], False),
    ],
)
def test_a_browser_is_distinguished_from_a_program_by_its_headers(
    proxied: Proxied, headers: list[tuple[str, str]], is_page: bool
) -> None:
    answer = proxied.send("/admin/x", *headers, token=proxied.login())
    assert answer.status == 403
    assert lower(answer)["content-type"].startswith("text/html" if is_page else "text/plain")
