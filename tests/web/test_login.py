"""Logins over HTTP by browsers and programs: redirects, refusals and limits."""

import asyncio
import re
from collections import Counter
from urllib.parse import quote

import pytest

from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from tests.support.gateway import HASH, PASSWORD, MakeGateway, RunningGateway
from tests.support.login_scene import APP, Jar, code, reload_users


async def test_a_login_redirects_to_the_return_url(jar: Jar) -> None:
    response = await jar.log_in()
    assert (response.status, response.headers["Location"]) == (303, APP)
    checked = await jar.check()
    assert checked.status == 200
    assert checked.headers["Remote-User"] == "bob"


@pytest.mark.parametrize(
    ("user", "password"),
    [("bob", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("bob\x00", PASSWORD)],
)
async def test_unknown_wrong_and_disabled_get_the_same_response(
    jar: Jar, user: str, password: str
) -> None:
    response = await jar.log_in(user, password)
    assert (response.status, response.headers["X-Authgw-Reason"]) == (401, "login_failed")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="authgw"', "RFC 9110, 15.5.2"
    assert "The username or password is wrong." in jar.text
    assert not jar.session
    (event,) = jar.running.events
    assert (event.name, event.reason) == ("login_failure", "login_failed")
    assert event.sub == (user if user in ("bob", "gone") else ""), "perhaps a password"
    text = re.sub(r'value="[^"]*"', "", jar.text)
    other = Jar(jar.running)
    await other.log_in("whoever", "x")
    assert text.replace(user, "") == re.sub(r'value="[^"]*"', "", other.text).replace(user, "")


async def test_a_new_login_ends_the_former_session_of_the_browser(jar: Jar) -> None:
    await jar.log_in("bob")
    old = jar.session
    await jar.log_in("bob")
    assert jar.session != old
    assert (await jar.check()).status == 200
    jar.cookies = {"__Secure-authgw": old}
    refused = await jar.check()
    assert (refused.status, refused.headers["X-Authgw-Reason"]) == (401, "session_ended")


async def test_wrong_passwords_from_an_address_are_limited(jar: Jar) -> None:
    await jar.get("/login")
    for _ in range(5):
        assert (await jar.post("/login", username="bob", password="no")).status == 401
    refused = await jar.post("/login", username="bob", password=PASSWORD)
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 300
    assert "Try again in 5 minutes." in jar.text
    elsewhere = await jar.send(
        "/login",
        {"Origin": "https://auth.example.com", "X-Forwarded-For": "192.0.2.7"},
        {"token": jar.token, "username": "bob", "password": PASSWORD},
    )
    assert elsewhere.status == 303


async def test_a_known_device_has_its_own_limit(jar: Jar) -> None:
    await jar.log_in("bob")
    stranger = Jar(jar.running)
    await stranger.get("/login")
    for _ in range(6):
        await stranger.post("/login", username="bob", password="no")
    assert (await stranger.post("/login", username="bob", password=PASSWORD)).status == 429
    del jar.cookies["__Secure-authgw"]
    await jar.get("/login")
    assert (await jar.post("/login", username="bob", password=PASSWORD)).status == 303


async def test_a_device_is_known_in_any_spelling_of_the_name(jar: Jar) -> None:
    users = jar.running.users.path
    users_editor.add(users, "jos\u00e9", HASH)
    await reload_users(jar.running)
    await jar.log_in("jos\u00e9")
    stranger = Jar(jar.running)
    await stranger.get("/login")
    for _ in range(6):
        await stranger.post("/login", username="jos\u00e9", password="no")
    del jar.cookies["__Secure-authgw"]
    assert (await jar.log_in(" jose\u0301")).status == 303


async def test_a_device_of_a_former_password_is_unknown(jar: Jar) -> None:
    await jar.log_in("bob")
    users_editor.set_password(jar.running.users.path, "bob", hash_password("another one 123"))
    await reload_users(jar.running)
    await jar.get("/login")
    tries = [(await jar.post("/login", username="bob", password="no")).status for _ in range(7)]
    assert tries == [401] * 5 + [429] * 2


async def test_a_logged_in_user_is_redirected(jar: Jar) -> None:
    assert (await jar.get("/login/account")).headers["Location"] == "/login"
    await jar.log_in("bob")
    assert (await jar.get("/login")).headers["Location"] == "/login/account"
    assert (await jar.get(f"/login?rd={quote(APP, safe='')}")).headers["Location"] == APP
    switch = await jar.get(f"/login?switch=yes&rd={quote(APP, safe='')}")
    assert switch.status == 200
    assert "logged in as" in jar.text


async def test_the_third_redirect_is_a_loop(jar: Jar) -> None:
    await jar.log_in("bob")
    login_url = f"/login?rd={quote(APP, safe='')}"
    assert [(await jar.get(login_url)).status for _ in range(3)] == [303, 303, 508]
    (event,) = [event for event in jar.running.events if event.name == "loop"]
    assert event.detail == (
        "Third login redirect in 10 s for app.example.com. The session is valid; "
        "the proxy does not pass Cookie to the auth subrequest."
    )


@pytest.mark.parametrize("name", ["bob", "Bob", "bo\u200bb", "\uff42ob"])
async def test_a_backend_cannot_open_a_session_of_a_user(
    running: RunningGateway, name: str
) -> None:
    response = await running.post("/login", {"subject": name}, headers=running.shop)
    assert (response.status, (await response.json())["code"]) == (403, "client_forbidden")


async def test_keys_of_a_json_login(running: RunningGateway) -> None:
    good = {"username": "alice", "password": PASSWORD, "totp": code()}
    response = await running.post("/login", good)
    assert set(await response.json()) == {
        *("access", "access_token", "refresh", "refresh_token"),
        *("token_type", "expires_in", "refresh_expires_in", "sid"),
    }
    for body, status, reason in [
        ({"username": "alice", "password": PASSWORD}, 401, "totp_required"),
        ({"username": "alice", "password": PASSWORD, "totp": "1"}, 401, "login_failed"),
        ({"username": "bob", "password": "wrong"}, 401, "login_failed"),
        ({"username": "bob"}, 400, "body_malformed"),
        ({"username": "bob", "password": 1}, 400, "body_malformed"),
        ({"username": "bob", "password": PASSWORD, "groups": []}, 400, "body_malformed"),
        ({"password": PASSWORD}, 401, "client_unknown"),
    ]:
        response = await running.post("/login", body)
        assert (response.status, (await response.json())["code"]) == (status, reason), body


async def test_open_login_refuses_names_of_users(make_gateway: MakeGateway) -> None:
    running = await make_gateway(auth={"open_login": True})
    users_editor.add(running.users.path, "7", HASH)
    await reload_users(running)
    response = await running.post("/login", {"user_id": 7})
    assert (response.status, (await response.json())["code"]) == (403, "client_forbidden")
    assert (await running.post("/login", {"user_id": 8})).status == 200
    response = await running.post("/login", {"user_id": 8, "groups": ["admins"]})
    assert response.status == 400


async def test_too_many_concurrent_logins_are_refused(running: RunningGateway) -> None:
    async def status_of_login(number: int) -> int:
        body = {"username": "bob", "password": "wrong"}
        client_address = {"X-Forwarded-For": f"192.0.2.{number}"}
        response = await running.post("/login", body, headers=client_address)
        if response.status == 429:
            assert int(response.headers["Retry-After"]) >= 1
            assert (await response.json())["code"] == "too_busy"
        return response.status

    statuses = Counter(await asyncio.gather(*(status_of_login(number) for number in range(80))))
    assert set(statuses) == {401, 429}
    assert statuses[401] >= 16
    assert await status_of_login(90) == 401
