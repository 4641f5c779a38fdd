"""The second factor of a browser's log-in, and of a program's."""

from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from tests.support.gateway import PASSWORD, RECOVERY, MakeGateway
from tests.support.login_scene import APP, RULES, Jar, code, page_of, reread


async def test_second_factor_before_there_is_a_session(jar: Jar) -> None:
    answer = await jar.log_in("alice")
    assert answer.headers["Location"] == f"/login/totp?rd={quote(APP, safe='')}"
    assert not jar.session
    assert (await jar.asks()).status == 401
    await jar.get(answer.headers["Location"])
    wrong = await jar.post("/login/totp", rd=APP, code="000000")
    assert wrong.status == 401
    assert "The code is wrong." in jar.text
    used = code()
    right = await jar.post("/login/totp", rd=APP, code=used)
    assert (right.status, right.headers["Location"]) == (303, APP)
    told = await jar.asks("https://app.example.com/vault/x")
    assert told.status == 200
    assert told.headers["Remote-Groups"] == "writers"
    again = Jar(jar.running)
    await again.log_in("alice")
    await again.get("/login/totp")
    assert (await again.post("/login/totp", rd=APP, code=used)).status == 401, "used before"


async def test_a_recovery_code_opens_once(jar: Jar) -> None:
    for status in (303, 401):
        await jar.log_in("alice")
        await jar.get("/login/totp")
        assert (await jar.post("/login/totp", rd=APP, code=RECOVERY.upper())).status == status
        jar.running.users.reload_if_changed()
        jar.cookies.clear()


async def test_a_half_done_log_in_is_nothing_once_the_password_changed(
    jar: Jar, tmp_path: Path
) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    users_editor.set_password(jar.running.users.path, "alice", hash_password("another one 123"))
    await reread(jar.running)
    answer = await jar.post("/login/totp", rd=APP, code=code())
    assert answer.headers["Location"].startswith("/login")
    assert not jar.session


async def test_a_rule_sends_a_session_by_password_to_the_second_step(jar: Jar) -> None:
    await jar.log_in("bob")
    vault = "https://app.example.com/vault/x"
    told = await jar.asks(vault)
    assert (told.status, told.headers["X-Authgw-Reason"]) == (401, "totp_required")
    assert "insufficient_user_authentication" in told.headers["WWW-Authenticate"]
    where = urlsplit(told.headers["Location"])
    assert parse_qs(where.query)["rd"] == [vault]
    step = await jar.get(f"/login?{where.query}")
    assert step.headers["Location"].startswith("/login/totp?rd=")
    missing = await jar.get(step.headers["Location"])
    assert missing.status == 403
    assert "authgw user totp bob<" in jar.text


async def test_required_means_everybody(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(totp="required"))
    jar = Jar(running)
    assert (await jar.log_in("bob")).headers["Location"].startswith("/login/totp")
    assert (await jar.get("/login/totp")).status == 403
    body = {"username": "bob", "password": PASSWORD}
    answer = await running.post("/login", body)
    assert (await answer.json())["code"] == "totp_required"
    body = {"username": "alice", "password": PASSWORD, "totp": code()}
    assert (await running.post("/login", body)).status == 200
    assert (await running.post("/login", body)).status == 401


async def test_off_asks_no_code_at_the_log_in(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(totp="off"))
    assert (await Jar(running).log_in("alice")).headers["Location"] == APP


async def test_codes_can_be_tried_ten_times(jar: Jar) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    tries = [(await jar.post("/login/totp", rd=APP, code="000000")).status for _ in range(12)]
    assert tries == [401] * 10 + [429] * 2
    assert (await jar.post("/login/totp", rd=APP, code=code())).status == 429


async def test_log_ins_by_password_buy_no_more_tries_of_a_code(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(totp="off"), rules=RULES)
    tries = []
    for _ in range(3):
        guessing = Jar(running)
        await guessing.log_in("alice")
        await guessing.get("/login/totp")
        for _ in range(5):
            answer = await guessing.post("/login/totp", rd=APP, code="000000")
            tries.append(answer.status)
    assert tries == [401] * 10 + [429] * 5


async def test_a_device_that_had_a_code_is_counted_apart(jar: Jar) -> None:
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


async def test_the_second_step_names_whose_it_is(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/totp?rd=%2F")
    answer = await jar.post("/login/totp", rd="/", code="123456")
    assert answer.status == 403, "none is set up"
