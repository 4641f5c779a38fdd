"""An app's own Authorization next to our cookie, in every dialect; our tokens must be valid."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientResponse
from multidict import CIMultiDict

from authgw.core.authorization import OwnIdentifiers
from authgw.core.rules import Allow, Credential, Rule, Rules
from authgw.core.sessions import Session
from authgw.core.tokens import TokenType
from authgw.forward_auth.endpoint import CheckEndpoint
from authgw.identity import users_editor
from tests.support.builders import an_issuer
from tests.support.foreign_authorization import FOREIGN, OF_A_CONNECTION, TOKEN_OF_ANOTHER, basic_of
from tests.support.gateway import PASSWORD, MakeGateway, RunningGateway
from tests.support.login_scene import Jar, page_of, reload_users

APP, COOKIE, BEARER = "app.example.com", "cookie.example.com", "api.example.com"
DAV, DENYING, CONNECTED, OPEN = (
    "dav.example.com",
    "deny.example.com",
    "kerberos.example.com",
    "open.example.com",
)
EVERYBODY = Allow(authenticated=True)
RULES = Rules(
    [
        Rule("1", EVERYBODY, APP, number=0),
        Rule("2", EVERYBODY, COOKIE, credentials=frozenset({Credential.COOKIE}), number=1),
        Rule("3", EVERYBODY, BEARER, credentials=frozenset({Credential.BEARER}), number=2),
        Rule(
            "4",
            EVERYBODY,
            DAV,
            credentials=frozenset({Credential.COOKIE, Credential.APP_PASSWORD}),
            number=3,
        ),
        Rule("5", EVERYBODY, DENYING, denies_foreign=True, number=4),
        Rule("6", EVERYBODY, CONNECTED, connection_auth=True, number=5),
        Rule("7", Allow(anyone=True), OPEN, number=6),
    ]
)


def by_nginx(host: str) -> tuple[str, dict[str, str]]:
    return "/authenticate", {
        "X-Original-URL": f"https://{host}/a",
        "X-Original-Host": host,
        "X-Original-Method": "GET",
    }


def by_forwarding(host: str) -> tuple[str, dict[str, str]]:
    return "/authenticate/forward", {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": host,
        "X-Forwarded-Uri": "/a",
    }


def by_envoy(host: str) -> tuple[str, dict[str, str]]:
    return "/authenticate/envoy/a", {"Host": host, "X-Forwarded-Proto": "https"}


DIALECTS = {"nginx": by_nginx, "forward": by_forwarding, "envoy": by_envoy}
Dialect = Callable[[str], tuple[str, dict[str, str]]]
with_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


class BrowserScene:
    """The browser of bob, and the gateway's responses to checks of its requests."""

    def __init__(self, running: RunningGateway, cookie: str) -> None:
        self.running = running
        self.cookie = cookie

    async def session(self) -> Session:
        """Return the session of the cookie."""
        text = self.cookie.partition("=")[2]
        sid = an_issuer().verify(text, TokenType.SESSION, now=time.time()).sid
        session = (await self.running.store.read(sid)).session
        assert session is not None
        return session

    async def response(
        self, dialect: Dialect, lines: list[str], host: str = APP, cookie: str | None = None
    ) -> ClientResponse:
        path, target = dialect(host)
        headers = CIMultiDict(target)
        sent_cookie = self.cookie if cookie is None else cookie
        headers.extend({"Cookie": sent_cookie} if sent_cookie else {})
        for line in lines:
            headers.add("Authorization", line)
        self.running.events.clear()
        response = await self.running.client.get(path, headers=headers)
        await response.read()
        return response

    async def verdict(
        self, dialect: Dialect, lines: list[str], host: str = APP, cookie: str | None = None
    ) -> tuple[int, str]:
        response = await self.response(dialect, lines, host, cookie)
        reason = response.headers.get("X-Authgw-Reason")
        return response.status, reason or response.headers["Remote-User"]


async def a_scene(running: RunningGateway) -> BrowserScene:
    jar = Jar(running)
    # An empty cookie would be refused as a malformed token, which hides a failed login.
    assert (await jar.log_in("bob")).status == 303, jar.text
    return BrowserScene(running, f"__Secure-authgw={jar.session}")


@pytest.fixture
async def scene(make_gateway: MakeGateway) -> BrowserScene:
    """A gateway with a decision cache, as by default: allowed checks are not recorded."""
    running = await make_gateway(rules=RULES, login=page_of(), logging={"decisions": "denied"})
    return await a_scene(running)


@pytest.fixture
async def recording(make_gateway: MakeGateway) -> BrowserScene:
    running = await make_gateway(rules=RULES, login=page_of(), logging={"decisions": "all"})
    return await a_scene(running)


def reason_of(lines: list[str]) -> str:
    """Return the reason that a program without a cookie receives."""
    if lines == [f"Bearer {TOKEN_OF_ANOTHER}"]:
        return "token_invalid"
    is_token = len(lines) == 1 and lines[0].lower().startswith("bearer ") and lines[0].isascii()
    return "token_malformed" if is_token else "authorization_malformed"


@with_dialect
@pytest.mark.parametrize("lines", FOREIGN.values(), ids=FOREIGN)
async def test_cookie_decides_next_to_foreign_authorization(
    scene: BrowserScene, dialect: Dialect, lines: list[str]
) -> None:
    # From the third time on, the response may be cached.
    for _ in range(4):
        assert await scene.verdict(dialect, lines) == (200, "bob")
        assert await scene.verdict(dialect, lines, CONNECTED) == (200, "bob")
        assert await scene.verdict(dialect, lines, COOKIE) == (200, "bob")
        assert await scene.verdict(dialect, lines, OPEN) == (200, "bob")
        assert await scene.verdict(dialect, lines, cookie="") == (401, reason_of(lines))
        assert await scene.verdict(dialect, lines, cookie="a=1") == (401, reason_of(lines))
        damaged = f"{scene.cookie[:-2]}xx"
        assert (await scene.verdict(dialect, lines, cookie=damaged))[0] == 401
        assert await scene.verdict(dialect, lines, BEARER) == (401, reason_of(lines))
        assert await scene.verdict(dialect, lines, DENYING) == (401, "authorization_malformed")
        assert await scene.verdict(dialect, lines, OPEN, cookie="") == (200, "")


@with_dialect
@pytest.mark.parametrize("lines", OF_A_CONNECTION.values(), ids=OF_A_CONNECTION)
async def test_connection_authentication_needs_a_rule_that_allows_it(
    scene: BrowserScene, dialect: Dialect, lines: list[str]
) -> None:
    for _ in range(3):
        assert await scene.verdict(dialect, lines, CONNECTED) == (200, "bob")
        for host in (APP, COOKIE, DENYING, BEARER):
            assert (await scene.verdict(dialect, lines, host))[0] == 401
        assert (await scene.verdict(dialect, lines, DAV))[0] == 401
        assert await scene.verdict(dialect, lines, OPEN) == (200, "bob")


@with_dialect
async def test_own_token_must_be_valid_next_to_valid_cookie(
    scene: BrowserScene, dialect: Dialect
) -> None:
    running = scene.running
    login = {"username": "bob", "password": PASSWORD}
    pair = await (await running.post("/login", login)).json()
    ended = await (await running.post("/login", login)).json()
    await running.post("/logout", headers={"Authorization": f"Bearer {ended['access']}"})
    session = scene.cookie.partition("=")[2]
    own = await scene.session()
    expired = an_issuer().mint(
        replace(own, current=replace(own.current, access_exp=own.created_at - 60)),
        TokenType.ACCESS,
        now=own.created_at,
    )
    secret = users_editor.add_app_password(running.users.path, "bob", "laptop", paths=())
    await reload_users(running)
    for lines, reason in [
        ([f"Bearer {ended['access']}"], "session_ended"),
        ([f"Bearer {pair['access']}"], "credentials_ambiguous"),
        ([f"Bearer {pair['access'][:-8]}AAAAAAAA"], "token_invalid"),
        ([f"Bearer {pair['access']}xxxx"], "token_malformed"),
        ([f"Bearer {pair['access'][:80]}"], "token_malformed"),
        ([f"Bearer {pair['refresh']}"], "token_wrong_type"),
        ([f"Bearer {session}"], "token_wrong_type"),
        ([f"Bearer {expired}"], "token_expired"),
        ([f"Bearer {secret}"], "token_malformed"),
        ([f"Token {pair['access']}"], "authorization_malformed"),
        ([f'Bearer "{ended["access"]}"'], "authorization_malformed"),
        ([basic_of("bob", secret)], "authorization_malformed"),
        ([basic_of("bob", pair["access"])], "authorization_malformed"),
        (["Bearer x", f"Bearer {ended['access']}"], "authorization_malformed"),
        ([f"Bearer {ended['access']}, Basic eDp5"], "authorization_malformed"),
        ([f"Bearer {'x' * 8192}"], "token_malformed"),
        ([f"Token {'x' * 8192}"], "authorization_malformed"),
    ]:
        for _ in range(2):
            assert await scene.verdict(dialect, lines) == (401, reason), lines


@with_dialect
async def test_basic_is_ours_if_the_rule_accepts_app_passwords(
    scene: BrowserScene, dialect: Dialect
) -> None:
    secret = users_editor.add_app_password(scene.running.users.path, "bob", "laptop", paths=())
    await reload_users(scene.running)
    assert await scene.verdict(dialect, [basic_of("bob", secret)], DAV) == (200, "bob")
    refused = (401, "app_password_refused")
    assert await scene.verdict(dialect, [basic_of("bob", PASSWORD)], DAV) == refused
    assert await scene.verdict(dialect, [basic_of("x", "y")], DAV) == refused
    assert await scene.verdict(dialect, [f"Bearer {secret}x"], DAV) == refused
    malformed = (401, "authorization_malformed")
    assert await scene.verdict(dialect, ["Basic !"], DAV) == malformed
    assert await scene.verdict(dialect, ["Bearer x", basic_of("bob", secret)], DAV) == malformed
    assert await scene.verdict(dialect, ['MediaBrowser Token="x"'], DAV) == (200, "bob")
    assert await scene.verdict(dialect, ['MediaBrowser Token="x"'], DAV, "") == malformed
    # For other rules, Basic belongs to the app.
    assert await scene.verdict(dialect, [basic_of("bob", "x")], APP) == (200, "bob")


async def test_cookie_decides_without_rules(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(), logging={"decisions": "denied"})
    scene = await a_scene(running)
    for _ in range(3):
        assert await scene.verdict(by_nginx, ['MediaBrowser Token="x"']) == (200, "bob")
        assert (await scene.verdict(by_nginx, ["Negotiate x"]))[0] == 401


async def test_cached_response_is_not_used_for_another_header(scene: BrowserScene) -> None:
    ended = await scene.running.login(7)
    ours = f"Bearer {ended['access']}"
    await scene.running.post("/logout", headers={"Authorization": ours})
    for _ in range(4):
        assert await scene.verdict(by_nginx, ["Bearer x"]) == (200, "bob")
        assert await scene.verdict(by_nginx, ["Bearer x"], DENYING) == (
            401,
            "authorization_malformed",
        )
        assert (await scene.verdict(by_nginx, ["Bearer x", ours]))[0] == 401
        assert (await scene.verdict(by_nginx, [ours]))[0] == 401
        assert await scene.verdict(by_nginx, []) == (200, "bob")
        assert (await scene.verdict(by_nginx, ["Bearer x"], cookie=""))[0] == 401
    # A cached response depends on the session of the cookie.
    jar = Jar(scene.running)
    await jar.get("/logout", Cookie=scene.cookie)
    jar.cookies["__Secure-authgw"] = scene.cookie.partition("=")[2]
    assert (await jar.post("/logout")).status == 303
    assert await scene.verdict(by_nginx, ["Bearer x"]) == (401, "session_ended")


async def test_response_next_to_foreign_header_is_cached(
    scene: BrowserScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    identification, calls = scene.running.sessions.identification, 0
    begin = identification.begin

    def counted(bearer: str | None, cookies: Sequence[str] = ()) -> Any:
        nonlocal calls
        calls += 1
        return begin(bearer, cookies)

    monkeypatch.setattr(identification, "begin", counted)
    for _ in range(5):
        assert await scene.verdict(by_nginx, ['MediaBrowser Token="x"']) == (200, "bob")
    assert calls == 2


async def test_two_valid_cookies_are_ambiguous(scene: BrowserScene) -> None:
    other = await a_scene(scene.running)
    both = f"{scene.cookie}; {other.cookie}"
    assert await scene.verdict(by_nginx, ["Bearer x"], cookie=both) == (
        401,
        "credentials_ambiguous",
    )


async def test_events_report_foreign_header(recording: BrowserScene) -> None:
    running = recording.running

    async def recorded(lines: list[str], host: str = APP, cookie: str | None = None) -> str:
        await recording.verdict(by_nginx, lines, host, cookie)
        return running.events[-1].authorization

    assert await recorded(["Bearer x"]) == "foreign"
    assert running.events[-1].name == "allow"
    assert await recorded(["Bearer x"], cookie="") == "foreign"
    assert await recorded(["Bearer x"], OPEN) == "foreign"
    assert await recorded([]) == ""
    assert await recorded([f"Bearer {(await running.login())['access']}"]) == ""
    assert await recorded(["Bearer x"], DENYING) == "foreign"
    assert running.events[-1].detail == (
        "401 GET deny.example.com/a: the Authorization header is not authgw's, "
        "and rules[4] (5) has foreign: deny"
    )
    await recorded(["NTLM x"])
    assert running.events[-1].detail.endswith("rules[0] (1) needs upstream_auth: connection")
    await recorded(["Bearer x, Basic y"])
    assert running.events[-1].detail.endswith("an Authorization line contains several credentials")


async def test_token_of_a_removed_key_is_recognised_by_its_kid(scene: BrowserScene) -> None:
    gateway = scene.running.serving.gateway
    identifiers = OwnIdentifiers(frozenset(), frozenset({"theirs"}))
    checks = CheckEndpoint(replace(gateway.checks.context, identifiers=identifiers))
    scene.running.serving.use(replace(gateway, checks=checks))
    assert await scene.verdict(by_nginx, [f"Bearer {TOKEN_OF_ANOTHER}"]) == (401, "token_invalid")


@pytest.mark.parametrize("lines", FOREIGN.values(), ids=FOREIGN)
async def test_foreign_header_does_not_prevent_logout(
    scene: BrowserScene, lines: list[str]
) -> None:
    """A browser adds its Authorization for the host to the logout form; so does a script."""
    for data in ("rd=", None):
        at = await a_scene(scene.running)
        headers = CIMultiDict({"Cookie": at.cookie, "Host": "auth.example.com"})
        headers["Origin"] = "https://auth.example.com"
        for line in lines:
            headers.add("Authorization", line)
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        response = await scene.running.client.post(
            "/logout", data=data, headers=headers, allow_redirects=False
        )
        assert response.status == (303 if data else 200)
        assert await at.verdict(by_nginx, []) == (401, "session_ended")


async def test_api_refuses_foreign_authorization(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(), auth={"direct_check": True})
    scene = await a_scene(running)
    for header in ("Bearer x", 'MediaBrowser Token="x"', "Basic eDp5"):
        headers = {"Cookie": scene.cookie, "Authorization": header}
        assert (await running.client.get("/authenticate", headers=headers)).status == 401
        login = {"username": "bob", "password": PASSWORD}
        assert (await running.post("/login", login, headers=headers)).status == 401
        assert (await running.post("/revoke", {"sid": "x"}, headers=headers)).status == 401
        # A logout without a cookie reports the wrong token.
        alone = {"Authorization": header}
        assert (await running.post("/logout", headers=alone)).status == 401
    assert (await running.client.get("/authenticate")).status == 401
