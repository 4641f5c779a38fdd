"""The log-in over HTTP, by a browser and by a program: where it leads, and who is turned away."""

import asyncio
import re
from collections import Counter
from urllib.parse import quote

import pytest

from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from tests.support.gateway import HASH, PASSWORD, MakeGateway, RunningGateway
from tests.support.login_scene import APP, Jar, code, reread


async def test_log_in_leads_back_and_opens_the_app(jar: Jar) -> None:
    answer = await jar.log_in()
    assert (answer.status, answer.headers["Location"]) == (303, APP)
    told = await jar.asks()
    assert told.status == 200
    assert told.headers["Remote-User"] == "bob"


@pytest.mark.parametrize(
    ("user", "password"),
    [("bob", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("bob\x00", PASSWORD)],
)
async def test_unknown_wrong_and_disabled_look_alike(jar: Jar, user: str, password: str) -> None:
    answer = await jar.log_in(user, password)
    assert (answer.status, answer.headers["X-Authgw-Reason"]) == (401, "login_failed")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="authgw"', "RFC 9110, 15.5.2"
    assert "User name or password is wrong." in jar.text
    assert not jar.session
    (event,) = jar.running.events
    assert (event.name, event.reason) == ("login_failure", "login_failed")
    assert event.sub == (user if user in ("bob", "gone") else ""), "perhaps a password"
    said = re.sub(r'value="[^"]*"', "", jar.text)
    other = Jar(jar.running)
    await other.log_in("whoever", "x")
    assert said.replace(user, "") == re.sub(r'value="[^"]*"', "", other.text).replace(user, "")


async def test_a_new_log_in_ends_the_session_that_the_browser_had(jar: Jar) -> None:
    await jar.log_in("bob")
    old = jar.session
    await jar.log_in("bob")
    assert jar.session != old
    assert (await jar.asks()).status == 200
    jar.cookies = {"__Secure-authgw": old}
    refused = await jar.asks()
    assert (refused.status, refused.headers["X-Authgw-Reason"]) == (401, "session_ended")


async def test_wrong_passwords_from_one_address(jar: Jar) -> None:
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


async def test_a_known_device_is_counted_apart(jar: Jar) -> None:
    await jar.log_in("bob")
    stranger = Jar(jar.running)
    await stranger.get("/login")
    for _ in range(6):
        await stranger.post("/login", username="bob", password="no")
    assert (await stranger.post("/login", username="bob", password=PASSWORD)).status == 429
    del jar.cookies["__Secure-authgw"]
    await jar.get("/login")
    assert (await jar.post("/login", username="bob", password=PASSWORD)).status == 303


async def test_a_device_is_known_however_the_name_is_typed(jar: Jar) -> None:
    users = jar.running.users.path
    users_editor.add(users, "jos\u00e9", HASH)
    await reread(jar.running)
    await jar.log_in("jos\u00e9")
    stranger = Jar(jar.running)
    await stranger.get("/login")
    for _ in range(6):
        await stranger.post("/login", username="jos\u00e9", password="no")
    del jar.cookies["__Secure-authgw"]
    assert (await jar.log_in(" jose\u0301")).status == 303


async def test_a_device_of_a_former_password_is_none(jar: Jar) -> None:
    await jar.log_in("bob")
    users_editor.set_password(jar.running.users.path, "bob", hash_password("another one 123"))
    await reread(jar.running)
    await jar.get("/login")
    tries = [(await jar.post("/login", username="bob", password="no")).status for _ in range(7)]
    assert tries == [401] * 5 + [429] * 2


async def test_whoever_is_logged_in_is_sent_on(jar: Jar) -> None:
    assert (await jar.get("/login/account")).headers["Location"] == "/login"
    await jar.log_in("bob")
    assert (await jar.get("/login")).headers["Location"] == "/login/account"
    assert (await jar.get(f"/login?rd={quote(APP, safe='')}")).headers["Location"] == APP
    switch = await jar.get(f"/login?switch=yes&rd={quote(APP, safe='')}")
    assert switch.status == 200
    assert "signed in as" in jar.text


async def test_the_third_redirect_is_a_loop(jar: Jar) -> None:
    await jar.log_in("bob")
    way = f"/login?rd={quote(APP, safe='')}"
    assert [(await jar.get(way)).status for _ in range(3)] == [303, 303, 508]
    (event,) = [one for one in jar.running.events if one.name == "loop"]
    assert event.detail == (
        "Third login redirect in 10 s for app.example.com. The session is valid; "
        "the proxy does not pass Cookie to the auth subrequest."
    )


@pytest.mark.parametrize("name", ["bob", "Bob", "bo\u200bb", "\uff42ob"])
async def test_a_backend_opens_no_session_of_a_person(running: RunningGateway, name: str) -> None:
    answer = await running.post("/login", {"subject": name}, headers=running.shop)
    assert (answer.status, (await answer.json())["code"]) == (403, "client_forbidden")


async def test_a_json_log_in_takes_what_it_needs_and_nothing_else(running: RunningGateway) -> None:
    good = {"username": "alice", "password": PASSWORD, "totp": code()}
    answer = await running.post("/login", good)
    assert set(await answer.json()) == {
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
        answer = await running.post("/login", body)
        assert (answer.status, (await answer.json())["code"]) == (status, reason), body


async def test_the_open_door_is_closed_for_names_of_people(make_gateway: MakeGateway) -> None:
    running = await make_gateway(auth={"open_login": True})
    users_editor.add(running.users.path, "7", HASH)
    await reread(running)
    answer = await running.post("/login", {"user_id": 7})
    assert (answer.status, (await answer.json())["code"]) == (403, "client_forbidden")
    assert (await running.post("/login", {"user_id": 8})).status == 200
    answer = await running.post("/login", {"user_id": 8, "groups": ["admins"]})
    assert answer.status == 400


async def test_too_many_log_ins_at_once_are_turned_away(running: RunningGateway) -> None:
    async def one(number: int) -> int:
        body = {"username": "bob", "password": "wrong"}
        came_from = {"X-Forwarded-For": f"192.0.2.{number}"}
        answer = await running.post("/login", body, headers=came_from)
        if answer.status == 429:
            assert int(answer.headers["Retry-After"]) >= 1
            assert (await answer.json())["code"] == "too_busy"
        return answer.status

    seen = Counter(await asyncio.gather(*(one(number) for number in range(80))))
    assert set(seen) == {401, 429}
    assert seen[401] >= 16
    assert await one(90) == 401
