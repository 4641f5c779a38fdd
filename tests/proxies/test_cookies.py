"""Cookies through each proxy: log in and out, second factor, and cookies that stay here."""

import re
from urllib.parse import quote

import pytest

from tests.support.proxies import BROWSER, HOST, LOGIN, Proxied, lower, only_as, told

BACK = f"{LOGIN}/login?rd={quote(f'http://{HOST}', safe='')}"


def test_cookies(proxied: Proxied) -> None:
    token = proxied.login(3, "users")
    large = [("Cookie", "; ".join(f"c{n}={'x' * 2000}" for n in range(10)))]
    assert proxied.send("/", *large, token=token).status == 200
    answer = proxied.send("/", ("Cookie", "a=1"), ("Cookie", "b=2"), token=token)
    assert answer.status == 200
    joined = "; ".join(value for name, value in told(answer) if name == "cookie")
    assert "a=1" in joined
    assert "b=2" in joined


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["authgw=x"], set()),
        (["a=1, __Secure-authgw=x"], {"a=1"}),
        (["a=1; __Host-authgw=x; b=2"], {"a=1", "b=2"}),
        (["__Secure-authgw=x;a=1"], {"a=1"}),
        (["authgw=1; __Host-authgw=2; a=authgw=3; authgw=4"], {"a=authgw=3"}),
        (["a=1", "authgw=x", "b=2"], {"a=1", "b=2"}),
        (["a=1;\t__Host-authgw=x; __Host-authgw =y; b=2"], {"a=1", "b=2"}),
        (["a=1; b=\xc3\xa9; __Host-authgw=x"], {"a=1", "b=\xc3\xa9"}),
        (["__Host-authgw=x; " + "; ".join(f"c{n}={'x' * 2000}" for n in range(9))], None),
    ],
)
def test_the_session_cookie_does_not_reach_the_app(
    proxied: Proxied, sent: list[str], kept: set[str] | None
) -> None:
    headers = [("Cookie", line) for line in sent]
    for path, token in (("/", proxied.login(3, "users")), ("/public/x", "")):
        answer = proxied.send(path, *headers, token=token)
        assert answer.status == 200
        assert "cookie" not in {name.lower() for name in answer.headers}
        lines = [value for name, value in told(answer) if name == "cookie"]
        # Envoy joins two header lines of HTTP/1.1 with a comma; no browser sends two.
        between = "[;,]" if proxied.name == "envoy" else ";"
        identity_headers = {pair.strip() for line in lines for pair in re.split(between, line)} - {
            ""
        }
        assert identity_headers == (kept if kept is not None else set(sent[0].split("; ")[1:]))


def test_a_cookie_that_is_not_text_causes_no_failure(proxied: Proxied) -> None:
    sent = ("Cookie", "a=\xff\xfe; __Host-authgw=x; b=2")
    answer = proxied.send("/", sent, token=proxied.login(3, "users"))
    assert answer.status == 200
    (line,) = [value for name, value in told(answer) if name == "cookie"]
    identity_headers = {pair.strip() for pair in line.split(";")} - {""}
    # The gateway omits values that it cannot repeat; Envoy converts them before the check.
    assert identity_headers == {"traefik": {"b=2"}, "envoy": {"a=!!", "b=2"}}.get(
        proxied.name, {"a=\xff\xfe", "b=2"}
    )


def test_a_browser_logs_in_and_out(proxied: Proxied) -> None:
    cookie = proxied.browser()
    answer = proxied.send("/page", *BROWSER, ("Cookie", f"a=1; {cookie}"))
    assert answer.status == 200
    only_as(answer, "alice", "")
    assert cookie.encode() not in answer.body
    proxied.submit("/logout", cookie)
    answer = proxied.send("/page", *BROWSER, ("Cookie", cookie))
    assert (answer.status, lower(answer)["location"]) == (302, f"{BACK}%2Fpage")
    assert lower(proxied.send("/page", ("Cookie", cookie)))["x-authgw-reason"] == "session_ended"


def test_a_page_that_asks_for_a_second_factor(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    answer = proxied.send("/vault/x", *BROWSER, cookie)
    assert (answer.status, lower(answer)["location"]) == (302, f"{BACK}%2Fvault%2Fx")
    answer = proxied.send("/vault/x", cookie)
    response_headers = 'Bearer realm="authgw", error="insufficient_user_authentication"'
    assert (answer.status, lower(answer)["www-authenticate"]) == (401, response_headers)


def test_two_active_cookies_are_ambiguous(proxied: Proxied) -> None:
    one, other = proxied.browser(), proxied.browser()
    for cookies in ([f"{one}; {other}"], [one, other], [other, "a=1", one]):
        answer = proxied.send("/page", *(("Cookie", line) for line in cookies))
        if proxied.name == "envoy" and len(cookies) > 1:
            # Envoy joins them with a comma; a cookie of a single host is not accepted behind it.
            assert answer.status == 200
            continue
        assert (answer.status, lower(answer)["x-authgw-reason"]) == (401, "credentials_ambiguous")
    twice = [("Cookie", f"{one}; {one}; __Host-authgw=x")]
    assert proxied.send("/page", *twice).status == 200
