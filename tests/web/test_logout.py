"""Ends of a session: logout, the account page, a change of its user."""

import re

from argon2 import PasswordHasher

from authgw.identity import users_editor
from tests.support.gateway import HASH, ORIGINAL, PASSWORD, RunningGateway
from tests.support.login_scene import APP, Jar, code, reload_users


async def test_logout_by_form_and_by_script(jar: Jar) -> None:
    await jar.log_in("bob")
    token = jar.session
    assert (await jar.get("/logout")).status == 200
    assert (await jar.check()).status == 200, "a GET ends nothing"
    answer = await jar.send("/logout", {"Origin": "https://auth.example.com"}, {"rd": APP})
    assert (answer.status, answer.headers["Location"]) == (303, APP)
    assert jar.set_cookies[-1]["max-age"] == "0"
    assert jar.set_cookies[-1]["domain"] == "example.com"
    jar.cookies["__Secure-authgw"] = token
    assert (await jar.check()).status == 401
    hostile = await jar.send(
        "/logout", {"Origin": "https://auth.example.com"}, {"rd": "https://evil.example/"}
    )
    assert hostile.headers["Location"] == "https://auth.example.com/login/account"
    await jar.log_in("bob")
    script = await jar.running.client.post(
        "/logout",
        json={"all": True},
        headers={
            "Host": "auth.example.com",
            "Cookie": f"__Secure-authgw={jar.session}",
            "Origin": "https://auth.example.com",
        },
    )
    assert script.status == 200
    assert "max-age=0" in script.headers["Set-Cookie"].lower()
    assert (await jar.check()).status == 401


async def test_the_account_page_ends_only_sessions_of_its_user(jar: Jar) -> None:
    await jar.log_in("bob")
    other = Jar(jar.running)
    await other.log_in("alice")
    await other.get("/login/totp")
    await other.post("/login/totp", rd=APP, code=code())
    sessions = await jar.running.store.sessions_of("alice")
    await jar.get("/login/account")
    await jar.post("/login/end", sid=sessions[0].sid)
    assert "had already ended" in jar.text
    assert (await other.check()).status == 200
    second = Jar(jar.running)
    await second.log_in("bob")
    await jar.get("/login/account")
    (sid,) = re.findall(r'name="sid" value="([^"]+)"', jar.text)
    await jar.post("/login/end", sid=sid)
    assert (await second.check()).status == 401
    assert (await jar.check()).status == 200


async def test_a_form_without_a_session_ends_no_session(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/account")
    assert (await jar.post("/login/end", sid="")).status == 400
    assert (await jar.check()).status == 200


async def test_logout_ends_the_session_behind_planted_cookies(jar: Jar) -> None:
    await jar.log_in("bob")
    token, jar.cookies = jar.session, {}
    line = "__Secure-authgw=x; " * 5 + f"__Secure-authgw={token}"
    await jar.send("/logout", {"Origin": "https://auth.example.com", "Cookie": line}, {})
    jar.cookies["__Secure-authgw"] = token
    assert (await jar.check()).status == 401


async def test_logout_by_a_script_that_accepts_html(running: RunningGateway) -> None:
    pair = await running.login()
    answer = await running.post(
        "/logout", {"refresh": pair["refresh"]}, headers={"Accept": "text/html"}
    )
    assert answer.status == 200
    assert (await running.check(pair["access"], **ORIGINAL)).status == 401


async def test_a_second_login_replaces_the_session_of_its_browser(jar: Jar) -> None:
    others = []
    for _ in range(4):
        others.append(Jar(jar.running))
        await others[-1].log_in("bob")
    await jar.log_in("bob")  # the limit of sessions
    await jar.get("/login?switch=1")
    await jar.post("/login", username="bob", password=PASSWORD)
    assert [(await browser.check()).status for browser in (jar, *others)] == [200] * 5


async def test_groups_and_disabled_take_effect_at_the_next_decision(jar: Jar) -> None:
    await jar.log_in("bob")
    wiki = "https://wiki.example.com/"
    assert (await jar.check(wiki)).headers["X-Authgw-Reason"] == "not_permitted"
    file = jar.running.users.path
    text = file.read_text()
    file.write_text(text.replace("bob:", "bob:\n  groups: [writers]"))
    await reload_users(jar.running)
    assert (await jar.check(wiki)).status == 200
    users_editor.set_disabled(file, "bob", True)
    await reload_users(jar.running)
    assert (await jar.check(wiki)).headers["X-Authgw-Reason"] == "session_ended"


async def test_a_new_password_ends_sessions_and_a_rehash_does_not(jar: Jar) -> None:
    await jar.log_in("bob")
    pair = await (
        await jar.running.post("/login", {"username": "bob", "password": PASSWORD})
    ).json()
    file = jar.running.users.path
    weaker = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    users_editor.rehash(file, "bob", HASH, weaker)
    await reload_users(jar.running)
    assert (await jar.check()).status == 200
    again = Jar(jar.running)
    await again.log_in("bob")
    await reload_users(jar.running)
    assert jar.running.users.password_hash("bob") not in (HASH, weaker)
    assert (await jar.check()).status == 200
    assert (await again.check()).status == 200
    users_editor.set_password(file, "bob", HASH.replace("m=19456", "m=19456"))
    stranger = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash("another 123")
    users_editor.set_password(file, "bob", stranger)
    await reload_users(jar.running)
    assert (await jar.check()).status == 401
    refused = await jar.running.post("/refresh", {"refresh": pair["refresh"]})
    assert (await refused.json())["code"] == "session_ended"


async def test_ending_all_other_sessions_keeps_the_current_session(jar: Jar) -> None:
    await jar.log_in("bob")
    others = [Jar(jar.running) for _ in range(2)]
    for other in others:
        await other.log_in("bob")
    await jar.get("/login/account")
    await jar.post("/login/end", others="yes")
    assert "All other sessions were ended." in jar.text
    assert (await jar.check()).status == 200
    assert [(await other.check()).status for other in others] == [401, 401]
    revoked = [event for event in jar.running.events if event.name == "revoke"]
    assert [event.detail for event in revoked] == ["by its owner"] * 2
    jar.cookies.pop("__Secure-authgw")
    gone = await jar.post("/login/end", others="yes")
    assert gone.headers["Location"] == "/login"
    assert (await jar.get("/login/totp?rd=%2Fx")).headers["Location"] == "/login?rd=%2Fx"
    gone = await jar.post("/login/totp", rd="", code="1")
    assert gone.headers["Location"] == "/login"


async def test_logout_by_script_needs_the_origin_of_the_gateway(jar: Jar) -> None:
    await jar.log_in("bob")
    for origin in ({}, {"Origin": "https://evil.example"}):
        answer = await jar.running.client.post(
            "/logout",
            headers={
                "Host": "auth.example.com",
                "Cookie": f"__Secure-authgw={jar.session}",
                **origin,
            },
        )
        assert answer.status == 403
    assert (await jar.check()).status == 200
    bare = await jar.running.client.post("/logout")
    assert (await bare.json())["code"] == "token_missing"
