"""Several sessions in a browser, after a change of `cookie_domain` or set by a sibling domain."""

import pytest

from tests.support.every_page import Page
from tests.support.gateway import PASSWORD, MakeGateway
from tests.support.login_scene import APP, RULES, Jar, page_of

NAME = "__Secure-authgw"


async def sessions(jar: Jar, number: int, user: str = "bob") -> list[str]:
    """Open this number of sessions, each in its own browser, and return their tokens."""
    tokens = []
    for _ in range(number):
        other = Jar(jar.running)
        await other.log_in(user)
        tokens.append(other.session)
    return tokens


def cookie_header(name: str, *values: str) -> str:
    return "; ".join(f"{name}={value}" for value in values)


async def is_active(jar: Jar, token: str) -> bool:
    jar.cookies = {}
    return (await jar.check(Cookie=cookie_header(NAME, token))).status == 200


@pytest.mark.parametrize("number", [2, 3, 5])
async def test_a_login_with_several_sessions_ends_all(jar: Jar, number: int) -> None:
    tokens = await sessions(jar, number)
    several = cookie_header(NAME, *tokens)
    checked = await jar.check(Cookie=several)
    assert (checked.status, checked.headers["X-Authgw-Reason"]) == (401, "credentials_ambiguous")
    assert "Location" in checked.headers
    await jar.get("/login", Cookie=several)
    assert "This browser has several sessions" in jar.text
    cookie = f"{several}; __Secure-authgw-csrf={jar.cookies['__Secure-authgw-csrf']}"
    jar.running.events.clear()
    response = await jar.send(
        "/login",
        {"Origin": jar.origin, "Cookie": cookie},
        {"token": jar.token, "rd": APP, "username": "bob", "password": PASSWORD},
    )
    assert (response.status, response.headers["Location"]) == (303, APP)
    fresh = jar.session
    assert [await is_active(jar, token) for token in (*tokens, fresh)] == [False] * number + [True]
    ended = [event.sid for event in jar.running.events if event.name == "revoke"]
    assert len(set(ended)) == number
    jar.cookies = {}
    assert (await jar.check(Cookie=cookie_header(NAME, *tokens[:3], fresh))).status == 200


async def test_a_failed_login_ends_no_session(jar: Jar) -> None:
    tokens = await sessions(jar, 2)
    await jar.get("/login")
    cookie = (
        cookie_header(NAME, *tokens)
        + f"; __Secure-authgw-csrf={jar.cookies['__Secure-authgw-csrf']}"
    )
    for token, password in ((jar.token, "wrong"), ("x" * 22, PASSWORD)):
        fields = {"token": token, "username": "bob", "password": password}
        response = await jar.send("/login", {"Origin": jar.origin, "Cookie": cookie}, fields)
        assert response.status in (401, 403)
    assert [await is_active(jar, token) for token in tokens] == [True, True]


async def test_a_logout_ends_every_session_and_deletes_every_cookie_name(jar: Jar) -> None:
    tokens = await sessions(jar, 3)
    several = f"{cookie_header(NAME, *tokens[:2])}; __Host-authgw={tokens[2]}"
    await jar.get("/logout", Cookie=several)
    assert "This browser has several sessions." in jar.text
    jar.running.events.clear()
    jar.set_cookies.clear()
    response = await jar.send("/logout", {"Origin": jar.origin, "Cookie": several}, {})
    assert response.headers["Location"] == "/logout?done=yes"
    assert [await is_active(jar, token) for token in tokens] == [False] * 3
    assert [event.name for event in jar.running.events][:3] == ["logout"] * 3
    cleared = {
        (cookie.key, cookie["domain"]) for cookie in jar.set_cookies if cookie["path"] == "/"
    }
    assert cleared == {
        ("__Host-authgw", ""),
        ("__Secure-authgw", ""),
        ("__Secure-authgw", "example.com"),
        ("authgw", ""),
        ("authgw", "example.com"),
    }
    for cookie in jar.set_cookies:
        assert cookie["max-age"] == "0"
        assert cookie["secure"]
    assert (jar.set_cookies[-1].key, jar.set_cookies[-1]["domain"]) == (NAME, "example.com")


async def test_a_logout_by_script_ends_every_session(jar: Jar) -> None:
    tokens = await sessions(jar, 2)
    headers = {
        "Host": "auth.example.com",
        "Cookie": cookie_header(NAME, *tokens),
        "Origin": jar.origin,
    }
    assert (await jar.running.client.post("/logout", headers=headers)).status == 200
    assert [await is_active(jar, token) for token in tokens] == [False, False]


@pytest.mark.parametrize(
    ("before", "after"), [(None, "example.com"), ("example.com", None)], ids=["set", "unset"]
)
async def test_a_session_of_another_cookie_domain_ends_with_the_next_login(
    make_gateway: MakeGateway, before: str | None, after: str | None
) -> None:
    names = {None: "__Host-authgw", "example.com": NAME}
    running = await make_gateway(login=page_of(cookie_domain=after), rules=RULES)
    jar = Jar(running)
    await jar.log_in()
    token = jar.cookies.pop(names[after])
    jar.cookies[names[before]] = token
    assert (await jar.get("/login")).status == 200, "not a cookie of this page"
    await jar.log_in()
    # The response deletes the cookie of the former name before it sets the new cookie.
    assert not jar.cookies[names[before]]
    fresh = jar.cookies[names[after]]
    await jar.send("/logout", {"Origin": jar.origin}, {})
    for former_token in (token, fresh):
        jar.cookies = {names[after]: former_token}
        assert (await jar.get("/login")).status == 200


async def test_at_most_16_cookies_are_verified_and_8_sessions_ended(jar: Jar) -> None:
    tokens = [*await sessions(jar, 5, "bob")]
    junk = [f"junk{number}" for number in range(15)]
    several = cookie_header(NAME, *junk, *tokens)
    await jar.send("/logout", {"Origin": jar.origin, "Cookie": several}, {})
    assert [await is_active(jar, token) for token in tokens] == [False, True, True, True, True]


async def test_of_ten_sessions_8_are_ended_and_recorded(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login=page_of(), rules=RULES, auth={"max_sessions": 20})
    jar = Jar(gateway)
    tokens = [*await sessions(jar, 10)]
    jar.running.events.clear()
    several = cookie_header(NAME, *tokens)
    await jar.send("/logout", {"Origin": jar.origin, "Cookie": several}, {})
    assert len({event.sid for event in gateway.events if event.name == "logout"}) == 8
    active = [await is_active(jar, token) for token in tokens]
    assert active == [False] * 8 + [True] * 2


async def test_a_logout_without_a_session_shows_that(jar: Jar) -> None:
    await jar.get("/logout")
    assert "there was nothing to end" in jar.text
    response = await jar.send("/logout", {"Origin": jar.origin}, {})
    assert response.headers["Location"] == "/logout"
    await jar.log_in("bob")
    token = jar.session
    response = await jar.send("/logout", {"Origin": jar.origin}, {})
    assert response.headers["Location"] == "/logout?done=yes"
    await jar.get("/logout?done=yes")
    assert "Your session on this device has ended." in Page(jar.text).text
    jar.cookies = {NAME: token}
    again = await jar.send("/logout", {"Origin": jar.origin}, {})
    assert again.headers["Location"] == "/logout", "it had ended already"
