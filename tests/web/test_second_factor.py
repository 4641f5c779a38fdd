"""The second factor in logins of browsers and programs."""

from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from tests.support.gateway import PASSWORD, RECOVERY, MakeGateway
from tests.support.login_scene import APP, RULES, Jar, code, page_of, reload_users


async def test_no_session_before_the_second_factor(jar: Jar) -> None:
    response = await jar.log_in("alice")
    assert response.headers["Location"] == f"/login/totp?rd={quote(APP, safe='')}"
    assert not jar.session
    assert (await jar.check()).status == 401
    await jar.get(response.headers["Location"])
    wrong = await jar.post("/login/totp", rd=APP, code="000000")
    assert wrong.status == 401
    assert "The code is wrong." in jar.text
    used = code()
    right = await jar.post("/login/totp", rd=APP, code=used)
    assert (right.status, right.headers["Location"]) == (303, APP)
    checked = await jar.check("https://app.example.com/vault/x")
    assert checked.status == 200
    assert checked.headers["Remote-Groups"] == "writers"
    again = Jar(jar.running)
    await again.log_in("alice")
    await again.get("/login/totp")
    assert (await again.post("/login/totp", rd=APP, code=used)).status == 401, "used before"


async def test_a_recovery_code_is_valid_once(jar: Jar) -> None:
    for status in (303, 401):
        await jar.log_in("alice")
        await jar.get("/login/totp")
        assert (await jar.post("/login/totp", rd=APP, code=RECOVERY.upper())).status == status
        jar.running.users.reload_if_changed()
        jar.cookies.clear()


async def test_a_password_change_invalidates_a_pending_login(jar: Jar, tmp_path: Path) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    users_editor.set_password(jar.running.users.path, "alice", hash_password("another one 123"))
    await reload_users(jar.running)
    response = await jar.post("/login/totp", rd=APP, code=code())
    assert response.headers["Location"].startswith("/login")
    assert not jar.session


async def test_a_rule_requires_the_second_factor_of_a_password_session(jar: Jar) -> None:
    await jar.log_in("bob")
    vault = "https://app.example.com/vault/x"
    checked = await jar.check(vault)
    assert (checked.status, checked.headers["X-Authgw-Reason"]) == (401, "totp_required")
    assert "insufficient_user_authentication" in checked.headers["WWW-Authenticate"]
    location = urlsplit(checked.headers["Location"])
    assert parse_qs(location.query)["rd"] == [vault]
    step = await jar.get(f"/login?{location.query}")
    assert step.headers["Location"].startswith("/login/totp?rd=")
    missing = await jar.get(step.headers["Location"])
    assert missing.status == 403
    assert "authgw user totp bob<" in jar.text


async def test_a_code_opens_a_new_session_in_place_of_the_old_one(
    make_gateway: MakeGateway,
) -> None:
    jar = Jar(await make_gateway(login=page_of(totp="off"), rules=RULES))
    await jar.log_in("alice")
    copied, [before] = dict(jar.cookies), await jar.running.store.sessions_of("alice")
    vault = "https://app.example.com/vault/x"
    assert (await jar.check(vault)).headers["X-Authgw-Reason"] == "totp_required"
    await jar.get("/login/totp")
    assert (await jar.post("/login/totp", rd=vault, code=code())).status == 303
    assert (await jar.check(vault)).status == 200
    [after] = await jar.running.store.sessions_of("alice")
    assert after.sid != before.sid
    assert (after.created_at, after.expires_at) == (before.created_at, before.expires_at)
    assert after.proved_at == before.proved_at < after.factor_time
    assert after.amr == ("pwd", "otp")
    # The cookie that was copied before is not elevated by the owner's code.
    thief = Jar(jar.running)
    thief.cookies = copied
    assert (await thief.check(vault)).headers["X-Authgw-Reason"] == "session_ended"
    assert (await thief.check()).status == 401


async def test_totp_required_applies_to_all_users(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(totp="required"))
    jar = Jar(running)
    assert (await jar.log_in("bob")).headers["Location"].startswith("/login/totp")
    assert (await jar.get("/login/totp")).status == 403
    body = {"username": "bob", "password": PASSWORD}
    response = await running.post("/login", body)
    assert (await response.json())["code"] == "totp_required"
    body = {"username": "alice", "password": PASSWORD, "totp": code()}
    assert (await running.post("/login", body)).status == 200
    assert (await running.post("/login", body)).status == 401


async def test_totp_off_requires_no_code_at_the_login(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(totp="off"))
    assert (await Jar(running).log_in("alice")).headers["Location"] == APP


async def test_ten_wrong_codes_are_allowed(jar: Jar) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    tries = [(await jar.post("/login/totp", rd=APP, code="000000")).status for _ in range(12)]
    assert tries == [401] * 10 + [429] * 2
    assert (await jar.post("/login/totp", rd=APP, code=code())).status == 429


async def test_further_password_logins_allow_no_further_codes(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(totp="off"), rules=RULES)
    tries = []
    for _ in range(3):
        guessing = Jar(running)
        await guessing.log_in("alice")
        await guessing.get("/login/totp")
        for _ in range(5):
            response = await guessing.post("/login/totp", rd=APP, code="000000")
            tries.append(response.status)
    assert tries == [401] * 10 + [429] * 5


async def test_a_device_with_a_second_factor_has_its_own_limit(jar: Jar) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    assert (await jar.post("/login/totp", rd=APP, code=RECOVERY)).status == 303
    guessing = Jar(jar.running)
    await guessing.log_in("alice")
    await guessing.get("/login/totp")
    for _ in range(12):
        await guessing.post("/login/totp", rd=APP, code="000000")
    del jar.cookies["__Secure-authgw"]
    await jar.log_in("alice")
    await jar.get("/login/totp")
    assert (await jar.post("/login/totp", rd=APP, code=code())).status == 303


async def test_a_code_without_a_set_up_factor_is_refused(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/totp?rd=%2F")
    response = await jar.post("/login/totp", rd="/", code="123456")
    assert response.status == 403, "none is set up"
