"""The cause of a refused login: in the log and the metrics, and unknown to the client."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import pyotp
import pytest
from aiohttp import ClientResponse

from authgw.core.reasons import CAUSES
from authgw.identity import users_editor
from authgw.identity.hash_pool import HashPool
from tests.support.gateway import PASSWORD, SECRET, MakeGateway, RunningGateway, basic
from tests.support.login_scene import RULES, Jar, page_of, reload_users

BY_PASSWORD = [
    ("nobody", PASSWORD, "unknown_user"),
    ("bob", "wrong", "password"),
    ("gone", PASSWORD, "disabled"),
    ("gone", "wrong", "disabled"),
]


def at(offset: float) -> str:
    return pyotp.TOTP(SECRET).at(int(time.time() + offset))


async def test_the_cause_of_a_refused_password_is_recorded(jar: Jar) -> None:
    for name, password, cause in BY_PASSWORD:
        await jar.log_in(name, password)
        event = jar.running.events[-1]
        assert (event.name, event.reason, event.cause) == ("login_failure", "login_failed", cause)
        assert event.sentence == CAUSES[cause]
        assert event.target == ("POST", "auth.example.com", "/login")


async def everything_of(response: ClientResponse, name: str) -> tuple[Any, ...]:
    """Return status, headers and body without the random values and the name that was typed."""
    text = re.sub(r'value="[^"]*"', "", (await response.text()).replace(name, "NAME"))
    random = ("Date", "X-Request-ID", "Set-Cookie", "Content-Length")
    headers = [(key, value) for key, value in response.headers.items() if key not in random]
    return response.status, headers, re.sub(r'"request_id": "\w+"', "", text)


async def test_a_client_sees_the_same_bytes_for_each_cause(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await make_gateway(login=page_of(), rules=RULES)
    forms, programs, ways = [], [], []
    for name, password, _ in BY_PASSWORD:
        calls = trace(running, monkeypatch)
        jar = Jar(running)
        forms.append(await everything_of(await jar.log_in(name, password), name))
        body = {"username": name, "password": password}
        programs.append(await everything_of(await running.post("/login", body), name))
        ways.append(calls)
        monkeypatch.undo()
    assert [form[0] for form in forms] == [401] * len(BY_PASSWORD)
    assert all(form == forms[0] for form in forms)
    assert all(program == programs[0] for program in programs)
    # The same steps, so also the same time: counters, then a hash with the same parameters.
    assert len(ways[0]) == 4
    assert all(way == ways[0] for way in ways)


def trace(running: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the steps that take time, as they are done."""
    calls: list[str] = []
    verify, increment = HashPool.verify, running.store.increment_all

    async def hashed(pool: HashPool, stored: str, *args: Any, **options: Any) -> Any:
        calls.append(f"hash {stored.split('$')[3]}")
        return await verify(pool, stored, *args, **options)

    async def counted(counters: Any) -> Any:
        calls.append(f"count {len(counters)}")
        return await increment(counters)

    monkeypatch.setattr(HashPool, "verify", hashed)
    monkeypatch.setattr(running.store, "increment_all", counted)
    return calls


@pytest.mark.parametrize(
    ("typed", "cause", "age"),
    [
        (lambda: "000000", "code", None),
        (lambda: "abcd-efgh-jkmn-pqrs", "code", None),
        (lambda: at(-150), "code_late", 150),
        (lambda: at(-590), "code_late", 600),
        (lambda: at(150), "code_early", -150),
        (lambda: at(-700), "code", None),
    ],
)
async def test_the_cause_of_a_refused_code_is_recorded(
    jar: Jar, typed: Any, cause: str, age: int | None
) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    response = await jar.post("/login/totp", code=typed())
    assert (response.status, "The code is wrong." in jar.text) == (401, True)
    event = jar.running.events[-1]
    assert (event.reason, event.cause, event.sub) == ("login_failed", cause, "alice")
    if age is None:
        assert (event.sentence, event.more) == (CAUSES[cause], ())
        return
    assert event.sentence.endswith("check the clocks of this machine and the device")
    ((field, recorded),) = event.more
    # A step may end between this test's reading of the clock and the gateway's.
    assert (field, abs(int(recorded) - age) <= 30) == ("authgw.code_age", True)
    assert f"{abs(int(recorded))} s" in event.sentence


async def test_a_program_learns_that_a_code_is_missing(running: RunningGateway) -> None:
    body = {"username": "alice", "password": PASSWORD}
    assert (await running.post("/login", body)).status == 401
    code = pyotp.TOTP(SECRET).now()
    assert (await running.post("/login", {**body, "totp": code})).status == 200
    assert (await running.post("/login", {**body, "totp": code})).status == 401
    bob = {"username": "bob", "password": PASSWORD, "totp": code}
    assert (await running.post("/login", bob)).status == 401
    causes = [event.cause for event in running.events]
    assert causes == ["code_missing", "", "code_reused", "totp_not_set_up"]
    assert running.events[1].credential == "pwd+otp"


async def test_the_limit_that_refuses_an_attempt_is_recorded(
    running: RunningGateway,
) -> None:
    body = {"username": "bob", "password": "no"}
    for _ in range(6):
        await running.post("/login", body)
    assert [event.cause for event in running.events] == ["password"] * 5 + ["throttled_name"]
    for _ in range(300):
        await running.store.increment('["address", "127.0.0.1"]', 900.0)
    await running.post("/login", {"username": "alice", "password": "no"})
    assert running.events[-1].cause == "throttled_address"
    for _ in range(11):
        await running.store.increment('["code", "alice", ""]', 900.0)
    await running.store.release(['["address", "127.0.0.1"]'], [])
    await running.post("/login", {"username": "alice", "password": PASSWORD, "totp": "000000"})
    assert (running.events[-1].cause, running.events[-1].sub) == ("throttled_code", "alice")


async def test_the_cause_of_a_refused_backend_is_recorded(running: RunningGateway) -> None:
    async def cause(headers: dict[str, str], **body: Any) -> str:
        await running.post("/login", body, headers=headers)
        return running.events[-1].cause

    assert await cause({}, user_id=1) == "client_missing"
    assert await cause({"Authorization": "Basic !"}, user_id=1) == "client_missing"
    assert await cause(basic("other", "x"), user_id=1) == "client_unknown"
    assert running.events[-1].sub == "", "perhaps a secret"
    assert await cause(basic("shop", "x"), user_id=1) == "client_secret"
    assert await cause(running.blog, subject="c-1") == "client_subject"
    assert await cause(running.shop, user_id=1, groups=["admins"]) == "client_group"
    assert await cause(running.shop, subject="alice") == "subject_is_user"
    for _ in range(10):
        last = await cause(basic("shop", "x"), user_id=1)
    assert last == "throttled_client"


async def test_the_cause_of_a_refused_form_is_recorded(jar: Jar) -> None:
    await jar.get("/login")
    await jar.send("/login", {"Origin": jar.origin}, {"token": "x", "username": "bob"})
    await jar.send("/login", {"Origin": "https://evil.example"}, {"token": jar.token})
    await jar.send("/login", {"Origin": "http://auth.example.com"}, {"token": jar.token})
    await jar.send("/login", {"Sec-Fetch-Site": "cross-site"}, {"token": jar.token})
    recorded = [(event.name, event.reason, event.cause) for event in jar.running.events]
    causes = ["form_token", "form_origin", "form_http", "form_origin"]
    assert recorded == [("deny", "cross_site", cause) for cause in causes]


async def test_the_cause_of_a_refused_app_password_is_recorded(make_gateway: MakeGateway) -> None:
    now = 1_900_000_000.0
    running = await make_gateway(login=page_of(), rules=RULES, clock=lambda: now)
    jar, file = Jar(running), running.users.path
    secret = users_editor.add_app_password(file, "bob", "laptop", paths=("/dav/**",))
    await reload_users(running)

    async def cause(path: str, user: str = "bob", secret: str = secret) -> str:
        sent = basic(user, secret)["Authorization"]
        response = await jar.check(f"https://dav.example.com{path}", Authorization=sent)
        assert response.headers["X-Authgw-Reason"] == "app_password_refused"
        event = running.events[-1]
        assert (event.credential, event.rule) == ("app-password", "rules[0] (2)")
        assert event.sentence == CAUSES[event.cause]
        return event.cause

    assert await cause("/dav/x", secret=f"{secret}x") == "app_password"
    assert await cause("/dav/x", user="alice") == "app_password_user"
    assert await cause("/other") == "app_password_path"
    expiry = datetime.fromtimestamp(now, UTC)
    brief = users_editor.add_app_password(file, "bob", "phone", expires=expiry)
    await reload_users(running)
    assert await cause("/dav/x", secret=brief) == "app_password_expired"
    users_editor.set_disabled(file, "bob", True)
    await reload_users(running)
    assert await cause("/dav/x") == "disabled"
