"""Several sessions in one browser, after a change of cookie_domain or by a sibling's doing."""

import pytest

from tests.support.every_page import Page
from tests.support.gateway import PASSWORD, MakeGateway
from tests.support.login_scene import APP, RULES, Jar, page_of

NAME = "__Secure-authgw"


async def sessions(jar: Jar, number: int, user: str = "bob") -> list[str]:
    """So many live session tokens, each opened by a browser of its own."""
    found = []
    for _ in range(number):
        other = Jar(jar.running)
        await other.log_in(user)
        found.append(other.session)
    return found


def line(name: str, *values: str) -> str:
    return "; ".join(f"{name}={value}" for value in values)


async def alive(jar: Jar, token: str) -> bool:
    jar.cookies = {}
    return (await jar.asks(Cookie=line(NAME, token))).status == 200


@pytest.mark.parametrize("number", [2, 3, 5])
async def test_two_sessions_lead_to_a_login_that_ends_both(jar: Jar, number: int) -> None:
    tokens = await sessions(jar, number)
    several = line(NAME, *tokens)
    asked = await jar.asks(Cookie=several)
    assert (asked.status, asked.headers["X-Authgw-Reason"]) == (401, "credentials_ambiguous")
    assert "Location" in asked.headers
    await jar.get("/login", Cookie=several)
    assert "This browser holds several sessions" in jar.text
    cookie = f"{several}; __Secure-authgw-csrf={jar.cookies['__Secure-authgw-csrf']}"
    jar.running.events.clear()
    answer = await jar.send(
        "/login",
        {"Origin": jar.origin, "Cookie": cookie},
        {"token": jar.token, "rd": APP, "username": "bob", "password": PASSWORD},
    )
    assert (answer.status, answer.headers["Location"]) == (303, APP)
    fresh = jar.session
    assert [await alive(jar, one) for one in (*tokens, fresh)] == [False] * number + [True]
    ended = [one.sid for one in jar.running.events if one.name == "revoke"]
    assert len(set(ended)) == number
    jar.cookies = {}
    assert (await jar.asks(Cookie=line(NAME, *tokens[:3], fresh))).status == 200


async def test_a_failed_login_ends_nothing(jar: Jar) -> None:
    tokens = await sessions(jar, 2)
    await jar.get("/login")
    cookie = line(NAME, *tokens) + f"; __Secure-authgw-csrf={jar.cookies['__Secure-authgw-csrf']}"
    for token, password in ((jar.token, "wrong"), ("x" * 22, PASSWORD)):
        fields = {"token": token, "username": "bob", "password": password}
        answer = await jar.send("/login", {"Origin": jar.origin, "Cookie": cookie}, fields)
        assert answer.status in (401, 403)
    assert [await alive(jar, one) for one in tokens] == [True, True]


async def test_a_log_out_ends_every_session_and_clears_every_spelling(jar: Jar) -> None:
    tokens = await sessions(jar, 3)
    several = f"{line(NAME, *tokens[:2])}; __Host-authgw={tokens[2]}"
    await jar.get("/logout", Cookie=several)
    assert "This browser holds several sessions." in jar.text
    jar.running.events.clear()
    jar.given.clear()
    answer = await jar.send("/logout", {"Origin": jar.origin, "Cookie": several}, {})
    assert answer.headers["Location"] == "/logout?done=yes"
    assert [await alive(jar, one) for one in tokens] == [False] * 3
    assert [one.name for one in jar.running.events][:3] == ["logout"] * 3
    cleared = {(one.key, one["domain"]) for one in jar.given if one["path"] == "/"}
    assert cleared == {
        ("__Host-authgw", ""),
        ("__Secure-authgw", ""),
        ("__Secure-authgw", "example.com"),
        ("authgw", ""),
        ("authgw", "example.com"),
    }
    for one in jar.given:
        assert one["max-age"] == "0"
        assert one["secure"]
    assert (jar.given[-1].key, jar.given[-1]["domain"]) == (NAME, "example.com")


async def test_a_log_out_by_script_ends_them_too(jar: Jar) -> None:
    tokens = await sessions(jar, 2)
    headers = {"Host": "auth.example.com", "Cookie": line(NAME, *tokens), "Origin": jar.origin}
    assert (await jar.running.client.post("/logout", headers=headers)).status == 200
    assert [await alive(jar, one) for one in tokens] == [False, False]


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
    # The reply deletes the former spelling before it gives the new one.
    assert not jar.cookies[names[before]]
    fresh = jar.cookies[names[after]]
    await jar.send("/logout", {"Origin": jar.origin}, {})
    for one in (token, fresh):
        jar.cookies = {names[after]: one}
        assert (await jar.get("/login")).status == 200


async def test_at_most_sixteen_values_are_verified_and_eight_sessions_ended(jar: Jar) -> None:
    tokens = [*await sessions(jar, 5, "bob")]
    junk = [f"junk{number}" for number in range(15)]
    several = line(NAME, *junk, *tokens)
    await jar.send("/logout", {"Origin": jar.origin, "Cookie": several}, {})
    assert [await alive(jar, one) for one in tokens] == [False, True, True, True, True]


async def test_a_log_out_without_a_session_says_so(jar: Jar) -> None:
    await jar.get("/logout")
    assert "there was nothing to end" in jar.text
    answer = await jar.send("/logout", {"Origin": jar.origin}, {})
    assert answer.headers["Location"] == "/logout"
    await jar.log_in("bob")
    token = jar.session
    answer = await jar.send("/logout", {"Origin": jar.origin}, {})
    assert answer.headers["Location"] == "/logout?done=yes"
    await jar.get("/logout?done=yes")
    assert "Your session on this device has ended." in Page(jar.text).text
    jar.cookies = {NAME: token}
    again = await jar.send("/logout", {"Origin": jar.origin}, {})
    assert again.headers["Location"] == "/logout", "it had ended already"
