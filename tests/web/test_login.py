"""The browser's log-in over HTTP: cookies, forms from elsewhere, the second factor, log-outs."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from html import unescape
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pyotp
import pytest
from aiohttp import ClientResponse, FormData, encode_basic_auth
from argon2 import PasswordHasher
from multidict import CIMultiDict

from authgw.core.rules import Allow, Credential, Rule, Rules, glob
from authgw.core.sites import Sites
from authgw.identity import userfile
from authgw.identity.passwords import hash_password
from authgw.settings import LoginPage
from tests.web.conftest import HASH, PASSWORD, RECOVERY, SECRET, Surface, surface

LOGIN = "https://auth.example.com/login"
APP = "https://app.example.com/a?b=c"
OWN = {"Host": "auth.example.com", "Accept": "text/html"}
RULES = Rules(
    [
        Rule("1", Allow(authenticated=True), "app.example.com", (glob("/vault/**"),), totp=True),
        Rule(
            "2",
            Allow(authenticated=True),
            "dav.example.com",
            credentials=frozenset({Credential.APP_PASSWORD, Credential.COOKIE}),
        ),
        Rule("3", Allow(groups=frozenset({"writers"})), "wiki.example.com"),
        Rule("4", Allow(authenticated=True), "app.example.com"),
    ]
)


def page_of(**said: Any) -> Sites:
    page = LoginPage(**{"url": LOGIN, "cookie_domain": "example.com", **said})
    assert page.site is not None
    return Sites((page.site,))


class Jar:
    """A browser's cookies and the forms that it was shown."""

    def __init__(self, running: Surface, origin: str = "https://auth.example.com") -> None:
        self.running = running
        self.origin = origin
        self.cookies: dict[str, str] = {}
        self.given: list[Morsel[str]] = []
        self.text = ""

    async def get(self, path: str, **headers: str) -> ClientResponse:
        answer = await self.running.client.get(
            path, headers={**self._headers(), **headers}, allow_redirects=False
        )
        return await self._took(answer)

    async def post(self, path: str, **fields: str) -> ClientResponse:
        return await self.send(path, {"Origin": self.origin}, {"token": self.token, **fields})

    async def send(
        self, path: str, headers: dict[str, str], fields: dict[str, str]
    ) -> ClientResponse:
        answer = await self.running.client.post(
            path,
            data=FormData(fields),
            headers={**self._headers(), **headers},
            allow_redirects=False,
        )
        return await self._took(answer)

    async def log_in(
        self, user: str = "bob", password: str = PASSWORD, rd: str = APP
    ) -> ClientResponse:
        await self.get(f"/login?rd={quote(rd, safe='')}")
        return await self.post("/login", rd=rd, username=user, password=password)

    async def asks(self, url: str = APP, **headers: str) -> ClientResponse:
        parts = urlsplit(url)
        told = {
            "X-Original-URL": url,
            "X-Original-Host": parts.netloc,
            "X-Original-Method": "GET",
            "Accept": "text/html",
        }
        answer = await self.running.client.get(
            "/authenticate", headers={**self._cookie(), **told, **headers}
        )
        await answer.read()
        return answer

    @property
    def token(self) -> str:
        found = re.search(r'name="token" value="([^"]*)"', self.text)
        return unescape(found[1]) if found else ""

    @property
    def session(self) -> str:
        return self.cookies.get("__Secure-authgw", "")

    def _headers(self) -> dict[str, str]:
        return {**OWN, **self._cookie()}

    def _cookie(self) -> dict[str, str]:
        line = "; ".join(f"{name}={value}" for name, value in self.cookies.items() if value)
        return {"Cookie": line} if line else {}

    async def _took(self, answer: ClientResponse) -> ClientResponse:
        for line in answer.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                self.given.append(morsel)
        self.text = await answer.text() or self.text
        return answer


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Surface]:
    async for one in surface(tmp_path, sites=page_of(), rules=RULES):
        yield one


@pytest.fixture
def jar(running: Surface) -> Jar:
    return Jar(running)


def code() -> str:
    return pyotp.TOTP(SECRET).now()


async def test_log_in_leads_back_and_opens_the_app(jar: Jar) -> None:
    answer = await jar.log_in()
    assert (answer.status, answer.headers["Location"]) == (303, APP)
    told = await jar.asks()
    assert told.status == 200
    assert told.headers["Remote-User"] == "bob"


async def test_the_session_cookie_has_every_attribute(jar: Jar) -> None:
    await jar.log_in()
    (cookie,) = [one for one in jar.given if one.key == "__Secure-authgw"]
    assert cookie["domain"] == "example.com"
    assert (cookie["path"], cookie["samesite"]) == ("/", "Lax")
    assert cookie["secure"]
    assert cookie["httponly"]
    assert 7100 <= int(cookie["max-age"]) <= 7200
    for helper in (one for one in jar.given if one.key != "__Secure-authgw"):
        assert (helper["path"], helper["samesite"], helper["domain"]) == ("/login", "Lax", "")
        assert helper["secure"]
        assert helper["httponly"]


@pytest.mark.parametrize(
    ("url", "domain", "name"),
    [
        (LOGIN, None, "__Host-authgw"),
        ("http://localhost:4000/login", None, "authgw"),
        ("http://auth.example.localhost:4000/login", "example.localhost", "__Secure-authgw"),
    ],
)
async def test_the_prefix_says_how_far_a_cookie_reaches(
    tmp_path: Path, url: str, domain: str | None, name: str
) -> None:
    sites = page_of(url=url, cookie_domain=domain)
    async for running in surface(tmp_path, sites=sites):
        jar = Jar(running, sites.all[0].origin)
        await jar.log_in()
        (cookie,) = [one for one in jar.given if one.key == name]
        assert cookie["domain"] == (domain or "")
        assert bool(cookie["secure"]) == (name != "authgw")


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


async def test_a_planted_cookie_is_not_what_the_log_in_hands_out(jar: Jar) -> None:
    jar.cookies["__Secure-authgw"] = "planted"
    await jar.log_in()
    assert jar.session != "planted"


CROSS_SITE: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://auth.example.com"},
    {"Origin": "https://auth.example.com:8443"},
    {"Origin": "https://app.example.com"},
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
async def test_forms_of_other_sites_do_nothing(jar: Jar, headers: dict[str, str]) -> None:
    await jar.log_in()
    alive = jar.session
    fields = {"token": jar.token, "username": "bob", "password": PASSWORD, "rd": ""}
    for path, sent in [
        ("/login", fields),
        ("/login/totp", {"token": jar.token, "rd": "", "code": "1"}),
        ("/login/end", {"token": jar.token, "sid": "", "others": "yes"}),
        ("/logout", {}),
    ]:
        answer = await jar.send(path, headers, sent)
        assert (answer.status, answer.headers["X-Authgw-Reason"]) == (403, "cross_site"), path
    assert jar.session == alive
    assert (await jar.asks()).status == 200


async def test_without_its_token_a_form_does_nothing(jar: Jar) -> None:
    await jar.get("/login")
    for token in ("", "x" * 22, "é"):
        answer = await jar.send(
            "/login",
            {"Origin": "https://auth.example.com"},
            {"token": token, "username": "bob", "password": PASSWORD},
        )
        assert answer.status == 403
    jar.cookies.clear()
    answer = await jar.post("/login", username="bob", password=PASSWORD)
    assert answer.status == 403


async def test_sec_fetch_site_stands_in_for_a_missing_origin(jar: Jar) -> None:
    await jar.get("/login")
    fields = {"token": jar.token, "username": "bob", "password": PASSWORD}
    assert (await jar.send("/login", {"Sec-Fetch-Site": "same-origin"}, fields)).status == 303


async def test_a_json_log_in_from_a_page_elsewhere_sets_no_cookie(running: Surface) -> None:
    body = {"username": "bob", "password": PASSWORD}
    answer = await running.post("/login", body, headers={"Origin": "https://evil.example"})
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    plain = await running.client.post(
        "/login", data=b'{"username": "bob"}', headers={"Content-Type": "text/plain"}
    )
    assert plain.status == 415


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
    userfile.set_password(jar.running.users.path, "alice", hash_password("another one 123"))
    await reread(jar.running)
    answer = await jar.post("/login/totp", rd=APP, code=code())
    assert answer.headers["Location"].startswith("/login")
    assert not jar.session


async def reread(running: Surface) -> None:
    time.sleep(0.15)  # noqa: ASYNC251  a file that has just changed counts a moment later
    assert running.users.reload_if_changed() == ""


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
    assert "authgw user totp" in jar.text


async def test_required_means_everybody(tmp_path: Path) -> None:
    async for running in surface(tmp_path, sites=page_of(), totp="required"):
        jar = Jar(running)
        assert (await jar.log_in("bob")).headers["Location"].startswith("/login/totp")
        assert (await jar.get("/login/totp")).status == 403
        body = {"username": "bob", "password": PASSWORD}
        answer = await running.post("/login", body)
        assert (await answer.json())["code"] == "totp_required"
        body = {"username": "alice", "password": PASSWORD, "totp": code()}
        assert (await running.post("/login", body)).status == 200
        assert (await running.post("/login", body)).status == 401


async def test_off_asks_no_code_at_the_log_in(tmp_path: Path) -> None:
    async for running in surface(tmp_path, sites=page_of(), totp="off"):
        assert (await Jar(running).log_in("alice")).headers["Location"] == APP


async def test_codes_can_be_tried_ten_times(jar: Jar) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    tries = [(await jar.post("/login/totp", rd=APP, code="000000")).status for _ in range(12)]
    assert tries == [401] * 10 + [429] * 2
    assert (await jar.post("/login/totp", rd=APP, code=code())).status == 429


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


async def test_two_live_sessions_in_one_jar_are_refused(jar: Jar) -> None:
    await jar.log_in("bob")
    first = jar.session
    other = Jar(jar.running)
    await other.log_in("bob")
    second = other.session
    name = "__Secure-authgw"

    async def status(line: str, **more: str) -> int:
        jar.cookies = {}
        return (await jar.asks(Cookie=line, **more)).status

    assert await status(f"{name}={first}; {name}={second}") == 401
    assert await status(f"{name}={first},{name}={second}") == 401
    assert await status(f"{name}={first}; {name}=dead; x=1") == 200
    assert await status(f"{name}=dead; x=1; {name}={first}") == 200
    assert await status(f"{name}=dead,{name}={first}; x=1") == 200
    assert await status(f"{name}={first}; {name}={first}") == 200
    assert await status("; ".join([f"{name}={first}"] * 5)) == 401
    assert await status(f"\xa0{name}={first}") == 401
    assert await status(f"x{name}={first}") == 401
    assert await status(f"__Host-authgw={first}") == 401
    program = await (
        await jar.running.post("/login", {"username": "bob", "password": PASSWORD})
    ).json()
    bearer = f"Bearer {program['access']}"
    assert await status(f"{name}={first}", Authorization=bearer) == 401
    assert await status(f"{name}=dead", Authorization=bearer) == 200
    assert await status(f"{name}={first}", Authorization="Bearer no.such.token") == 401
    assert await status(f"{name}={program['access']}") == 401
    assert await status("", Authorization=f"Bearer {first}") == 401


async def test_a_sibling_cannot_plant_a_host_cookie_behind_a_comma(tmp_path: Path) -> None:
    async for running in surface(tmp_path, sites=page_of(cookie_domain=None)):
        jar = Jar(running)
        await jar.log_in("bob")
        token = jar.cookies["__Host-authgw"]
        jar.cookies = {}
        assert (await jar.asks(Cookie=f"__Host-authgw={token}")).status == 200
        assert (await jar.asks(Cookie=f"x=1,__Host-authgw={token}")).status == 401


async def test_log_out_by_form_and_by_script(jar: Jar) -> None:
    await jar.log_in("bob")
    token = jar.session
    assert (await jar.get("/logout")).status == 200
    assert (await jar.asks()).status == 200, "a GET ends nothing"
    answer = await jar.send("/logout", {"Origin": "https://auth.example.com"}, {"rd": APP})
    assert (answer.status, answer.headers["Location"]) == (303, APP)
    assert jar.given[-1]["max-age"] == "0"
    assert jar.given[-1]["domain"] == "example.com"
    jar.cookies["__Secure-authgw"] = token
    assert (await jar.asks()).status == 401
    hostile = await jar.send(
        "/logout", {"Origin": "https://auth.example.com"}, {"rd": "https://evil.example/"}
    )
    assert hostile.headers["Location"] == "https://auth.example.com/login/account"
    await jar.log_in("bob")
    script = await jar.running.client.post(
        "/logout",
        json={"all": True},
        headers={"Cookie": f"__Secure-authgw={jar.session}", "Origin": "https://auth.example.com"},
    )
    assert script.status == 200
    assert "max-age=0" in script.headers["Set-Cookie"].lower()
    assert (await jar.asks()).status == 401


async def test_the_account_page_ends_only_ones_own_sessions(jar: Jar) -> None:
    await jar.log_in("bob")
    other = Jar(jar.running)
    await other.log_in("alice")
    await other.get("/login/totp")
    await other.post("/login/totp", rd=APP, code=code())
    found = await jar.running.store.sessions_of("alice")
    await jar.get("/login/account")
    await jar.post("/login/end", sid=found[0].sid)
    assert "had ended already" in jar.text
    assert (await other.asks()).status == 200
    second = Jar(jar.running)
    await second.log_in("bob")
    await jar.get("/login/account")
    (sid,) = re.findall(r'name="sid" value="([^"]+)"', jar.text)
    await jar.post("/login/end", sid=sid)
    assert (await second.asks()).status == 401
    assert (await jar.asks()).status == 200


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


async def test_groups_and_disabled_count_from_the_next_decision(jar: Jar) -> None:
    await jar.log_in("bob")
    wiki = "https://wiki.example.com/"
    assert (await jar.asks(wiki)).headers["X-Authgw-Reason"] == "not_permitted"
    file = jar.running.users.path
    text = file.read_text()
    file.write_text(text.replace("bob:", "bob:\n  groups: [writers]"))
    await reread(jar.running)
    assert (await jar.asks(wiki)).status == 200
    userfile.set_disabled(file, "bob", True)
    await reread(jar.running)
    assert (await jar.asks(wiki)).headers["X-Authgw-Reason"] == "session_ended"


async def test_another_password_ends_sessions_and_a_rehash_does_not(jar: Jar) -> None:
    await jar.log_in("bob")
    pair = await (
        await jar.running.post("/login", {"username": "bob", "password": PASSWORD})
    ).json()
    file = jar.running.users.path
    weaker = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    userfile.rehash(file, "bob", HASH, weaker)
    await reread(jar.running)
    assert (await jar.asks()).status == 200
    again = Jar(jar.running)
    await again.log_in("bob")
    await reread(jar.running)
    assert jar.running.users.password_hash("bob") not in (HASH, weaker)
    assert (await jar.asks()).status == 200
    assert (await again.asks()).status == 200
    userfile.set_password(file, "bob", HASH.replace("m=19456", "m=19456"))
    stranger = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash("another 123")
    userfile.set_password(file, "bob", stranger)
    await reread(jar.running)
    assert (await jar.asks()).status == 401
    refused = await jar.running.post("/refresh", {"refresh": pair["refresh"]})
    assert (await refused.json())["code"] == "session_ended"


async def test_app_passwords_count_where_a_rule_names_them(jar: Jar) -> None:
    file = jar.running.users.path
    secret = userfile.add_app_password(file, "bob", "laptop", paths=("/dav/**",))
    await reread(jar.running)
    url = "https://dav.example.com/dav/calendar"

    async def reason(target: str, authorization: str) -> str:
        jar.cookies = {}
        answer = await jar.asks(target, Authorization=authorization)
        return answer.headers.get("X-Authgw-Reason", answer.headers.get("Remote-User", ""))

    assert await reason(url, encode_basic_auth("bob", secret)) == "bob"
    assert await reason(url, f"Bearer {secret}") == "bob"
    assert await reason(url, encode_basic_auth("alice", secret)) == "app_password_refused"
    assert await reason(url, encode_basic_auth("bob", PASSWORD)) == "app_password_refused"
    assert await reason(url, f"Bearer {secret}x") == "app_password_refused"
    elsewhere = "https://dav.example.com/other"
    assert await reason(elsewhere, encode_basic_auth("bob", secret)) == "app_password_refused"
    around = "https://dav.example.com/dav/..%2fother"
    assert await reason(around, encode_basic_auth("bob", secret)) == "app_password_refused"
    assert await reason(APP, encode_basic_auth("bob", secret)) == "authorization_malformed"
    assert await reason(APP, f"Bearer {secret}") == "token_malformed"
    challenge = (await jar.asks(url)).headers["WWW-Authenticate"]
    assert challenge.startswith('Basic realm="authgw"')
    userfile.set_disabled(file, "bob", True)
    await reread(jar.running)
    assert await reason(url, encode_basic_auth("bob", secret)) == "app_password_refused"
    userfile.set_disabled(file, "bob", False)
    userfile.remove_app_password(file, "bob", "laptop")
    await reread(jar.running)
    assert await reason(url, encode_basic_auth("bob", secret)) == "app_password_refused"


async def test_a_backend_opens_no_session_of_a_person(running: Surface) -> None:
    answer = await running.post("/login", {"subject": "bob"}, headers=running.shop)
    assert (answer.status, (await answer.json())["code"]) == (403, "client_forbidden")


async def test_a_json_log_in_takes_what_it_needs_and_nothing_else(running: Surface) -> None:
    good = {"username": "alice", "password": PASSWORD, "totp": code()}
    answer = await running.post("/login", good)
    assert set(await answer.json()) == {
        *("access", "refresh", "token_type", "expires_in", "refresh_expires_in", "sid")
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


async def test_pages_are_nobody_elses(jar: Jar) -> None:
    for path in ("/login", "/logout"):
        answer = await jar.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    await jar.get(f"/login?rd={quote(APP, safe='')}")
    style = await jar.get("/login/style.css")
    assert style.content_type == "text/css"


async def test_form_action_names_where_the_log_in_leads(jar: Jar) -> None:
    answer = await jar.get(f"/login?rd={quote(APP, safe='')}")
    assert (
        "form-action 'self' https://app.example.com;" in answer.headers["Content-Security-Policy"]
    )
    answer = await jar.get("/login?rd=https%3A%2F%2Fevil.example")
    assert "evil" not in answer.headers["Content-Security-Policy"]


async def test_a_browser_sees_pages_and_a_program_problems(jar: Jar) -> None:
    jar.running.client.session.headers.clear()
    answer = await jar.send("/login", {"Origin": "null"}, {})
    assert answer.content_type == "text/html"
    program = await jar.running.client.post(
        "/login", data=FormData({}), headers={"Host": "auth.example.com", "Origin": "null"}
    )
    assert program.content_type == "application/problem+json"


async def test_the_refusal_page_is_for_proxies_only(jar: Jar) -> None:
    await jar.log_in("bob")
    told = {
        "X-Original-URL": "https://wiki.example.com/<x>",
        "X-Original-Host": "wiki.example.com",
        "X-Original-Method": "GET",
    }
    page = await jar.get("/login/denied", **told)
    assert (page.status, page.headers["X-Authgw-Reason"]) == (403, "not_permitted")
    assert "group writers" in jar.text
    assert "bob" in jar.text
    assert "&lt;x&gt;" in jar.text
    assert "style-src https://auth.example.com" in page.headers["Content-Security-Policy"]
    assert (await jar.get("/login/denied")).headers["X-Authgw-Reason"] == "target_missing"


async def test_traefik_hands_the_same_page_on(jar: Jar) -> None:
    await jar.log_in("bob")
    told = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "wiki.example.com",
        "X-Forwarded-Uri": "/",
        "X-Forwarded-Method": "GET",
    }
    answer = await jar.get("/authenticate/forward", **told)
    assert answer.status == 403
    assert "group writers" in jar.text
    program = await jar.get("/authenticate/forward", **told, Accept="*/*")
    assert program.content_type == "text/plain"


async def test_without_a_login_url_browsers_do_not_log_in(gateway: Surface) -> None:
    for method, path in [("GET", "/login"), ("POST", "/login"), ("GET", "/login/account")]:
        answer = await gateway.client.request(
            method, path, data=FormData({}) if method == "POST" else None
        )
        assert answer.status == 404
    answer = await gateway.post("/login", {"username": "bob", "password": PASSWORD})
    assert answer.status == 200


async def test_each_root_domain_has_its_own_page(tmp_path: Path) -> None:
    sites = Sites(
        tuple(
            site
            for domain in ("example.com", "example.org")
            for site in page_of(url=f"https://auth.{domain}/login", cookie_domain=domain).all
        )
    )
    async for running in surface(tmp_path, sites=sites):
        jar = Jar(running)
        told = await jar.asks("https://app.example.org/x")
        assert told.headers["Location"].startswith("https://auth.example.org/login?rd=")
        told = await jar.asks("https://app.example.com/x")
        assert told.headers["Location"].startswith("https://auth.example.com/login?rd=")
        jar = Jar(running, "https://auth.example.org")
        page = await jar.get("/login", Host="auth.example.org")
        assert page.status == 200
        answer = await jar.send(
            "/login",
            {"Origin": "https://auth.example.org", "Host": "auth.example.org"},
            {
                "token": jar.token,
                "username": "bob",
                "password": PASSWORD,
                "rd": "https://app.example.org/x",
            },
        )
        assert answer.headers["Location"] == "https://app.example.org/x"
        assert jar.given[-3]["domain"] == "example.org"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x=" + b"y" * 17000, {}, 413),
        (b"token=a&token=b", {}, 400),
        (b"token=a&surprise=b", {}, 400),
        (b"token=%ff", {}, 400),
        (b"token=\xff", {}, 400),
        (b"token", {}, 400),
        (b"token=a", {"Content-Encoding": "gzip"}, 415),
        (b"", {}, 403),
    ],
)
async def test_forms_are_read_strictly(
    jar: Jar, body: bytes, headers: dict[str, str], status: int
) -> None:
    plain = {"Content-Type": "application/x-www-form-urlencoded", **OWN, **headers}
    answer = await jar.running.client.post(
        "/login", data=body, headers={**plain, "Origin": "https://auth.example.com"}
    )
    assert answer.status == status
    assert answer.content_type == "text/html"


async def test_a_form_for_another_page_is_none_of_another_kind(jar: Jar) -> None:
    answer = await jar.running.client.post(
        "/login/end", data=b"[]", headers={"Origin": "https://auth.example.com", **OWN}
    )
    assert answer.status == 415


async def test_ending_all_others_leaves_this_one(jar: Jar) -> None:
    await jar.log_in("bob")
    others = [Jar(jar.running) for _ in range(2)]
    for other in others:
        await other.log_in("bob")
    await jar.get("/login/account")
    await jar.post("/login/end", others="yes")
    assert "All other sessions were ended." in jar.text
    assert (await jar.asks()).status == 200
    assert [(await other.asks()).status for other in others] == [401, 401]
    revoked = [event for event in jar.running.events if event.name == "revoke"]
    assert [event.detail for event in revoked] == ["by its owner"] * 2
    jar.cookies.pop("__Secure-authgw")
    gone = await jar.post("/login/end", others="yes")
    assert gone.headers["Location"] == "/login"
    assert (await jar.get("/login/totp?rd=%2Fx")).headers["Location"] == "/login?rd=%2Fx"
    gone = await jar.post("/login/totp", rd="", code="1")
    assert gone.headers["Location"] == "/login"


async def test_the_second_step_names_whose_it_is(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/totp?rd=%2F")
    answer = await jar.post("/login/totp", rd="/", code="123456")
    assert answer.status == 403, "none is set up"


async def test_two_basic_credentials_are_none(jar: Jar) -> None:
    told = {
        "X-Original-URL": "https://dav.example.com/dav/x",
        "X-Original-Host": "dav.example.com",
        "X-Original-Method": "GET",
    }
    headers = CIMultiDict(told)
    headers.add("Authorization", encode_basic_auth("bob", "x"))
    headers.add("Authorization", encode_basic_auth("bob", "y"))
    answer = await jar.running.client.get("/authenticate", headers=headers)
    assert answer.headers["X-Authgw-Reason"] == "authorization_malformed"
    answer = await jar.asks(told["X-Original-URL"], Authorization="Basic !")
    assert answer.headers["X-Authgw-Reason"] == "authorization_malformed"
    answer = await jar.asks(told["X-Original-URL"], Authorization="Basic Ym9i")
    assert answer.headers["X-Authgw-Reason"] == "authorization_malformed"


async def test_the_open_door_is_closed_for_names_of_people(tmp_path: Path) -> None:
    async for running in surface(tmp_path, open_login=True):
        userfile.add(running.users.path, "7", HASH)
        await reread(running)
        answer = await running.post("/login", {"user_id": 7})
        assert (answer.status, (await answer.json())["code"]) == (403, "client_forbidden")
        assert (await running.post("/login", {"user_id": 8})).status == 200
        answer = await running.post("/login", {"user_id": 8, "groups": ["admins"]})
        assert answer.status == 400


async def test_a_log_out_by_script_needs_its_own_origin(jar: Jar) -> None:
    await jar.log_in("bob")
    for origin in ({}, {"Origin": "https://evil.example"}):
        answer = await jar.running.client.post(
            "/logout", headers={"Cookie": f"__Secure-authgw={jar.session}", **origin}
        )
        assert answer.status == 403
    assert (await jar.asks()).status == 200
    bare = await jar.running.client.post("/logout")
    assert (await bare.json())["code"] == "token_missing"


async def test_too_many_log_ins_at_once_are_turned_away(running: Surface) -> None:
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


async def test_the_store_away_is_a_page_that_says_so(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/account")
    await jar.running.store.close()
    answer = await jar.get("/login/account")
    assert answer.status == 503
    assert "The session store cannot be reached." in jar.text
    assert "ValueError" not in jar.text
    assert answer.headers["Retry-After"] == "1"
    refused = await jar.running.client.post(
        "/login", json={"username": "bob", "password": PASSWORD}
    )
    assert refused.status == 503
