"""A check whose rule is cached only identifies its caller; the response stays the same."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.model import AccessRequest
from authgw.core.networks import TrustedProxies
from authgw.core.rules import Allow, Credential, Match, Rule, Rules, glob
from authgw.services.results import LoginRequest
from tests.support.gateway import ORIGINAL, MakeGateway, RunningGateway

APP, TEAM = "app.example.com", "team.example.com"
HOSTS = (APP, TEAM, "cookie.example.com", "dav.example.com", "open.example.com", "no.example.com")
RULES = Rules(
    (
        Rule("a", Allow(authenticated=True), APP, number=0),
        Rule("b", Allow(groups=frozenset({"team-a"})), TEAM, paths=(glob("/a"),), number=1),
        Rule(
            "c",
            Allow(authenticated=True),
            "cookie.example.com",
            credentials=frozenset({Credential.COOKIE}),
            number=2,
        ),
        Rule(
            "d",
            Allow(authenticated=True),
            "dav.example.com",
            credentials=frozenset({Credential.BEARER, Credential.APP_PASSWORD}),
            number=3,
        ),
        Rule("e", Allow(anyone=True), "open.example.com", number=4),
        Rule(
            "f",
            Allow(authenticated=True),
            TEAM,
            denies_foreign=True,
            networks=TrustedProxies.parse(("10.0.0.0/8",)),
            number=5,
        ),
        Rule("g", Allow(authenticated=True), TEAM, preflight=True, number=6),
        Rule("h", Allow(users=frozenset({"1", "2"})), APP, number=7),
    )
)


@pytest.fixture
async def ruled(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(rules=RULES, logging={"decisions": "denied"})


@pytest.fixture
def matched(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An entry for each request that was matched with the rules."""
    calls: list[None] = []
    real = Rules.match

    def match(self: Rules, access: AccessRequest) -> Match:
        calls.append(None)
        return real(self, access)

    monkeypatch.setattr(Rules, "match", match)
    return calls


def target(host: str, **more: str) -> dict[str, str]:
    url = {"X-Original-URL": f"https://{host}/a", "X-Original-Host": host}
    return {**ORIGINAL, **url, **more}


async def test_new_caller_is_identified_without_matching_again(
    ruled: RunningGateway, matched: list[None]
) -> None:
    for user in range(1, 6):
        pair = await ruled.login(user)
        response = await ruled.check(pair["access"], **target(APP))
        assert (response.status, response.headers["Remote-User"]) == (200, str(user))
    assert len(matched) == 1


async def test_refusal_by_a_cached_rule_has_the_same_text(ruled: RunningGateway) -> None:
    member = await ruled.login(1, groups=["team-a"])
    assert (await ruled.check(member["access"], **target(TEAM))).status == 200
    other = await ruled.login(2, groups=["users"])
    ruled.events.clear()
    response = await ruled.check(other["access"], **target(TEAM))
    assert (response.status, response.headers["X-Authgw-Reason"]) == (403, "not_permitted")
    assert await response.read() == b""
    (event,) = ruled.events
    assert event.detail.startswith("403 GET team.example.com/a: 2 matched rules[1]")


async def test_unavailable_store_gives_503_after_a_single_read(
    ruled: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await ruled.login(1), await ruled.login_elsewhere(2)
    assert (await ruled.check(first["access"], **target(APP))).status == 200
    reads = 0

    async def fail(sids: Sequence[str]) -> list[StoreUnavailableError]:
        nonlocal reads
        reads += 1
        return [StoreUnavailableError("Redis: TimeoutError") for _ in sids]

    monkeypatch.setattr(ruled.store, "read_many", fail)
    ruled.events.clear()
    response = await ruled.check(second["access"], **target(APP))
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert reads == 1
    (event,) = ruled.events
    assert event.detail == "503 GET app.example.com/a: Redis: TimeoutError"


@pytest.mark.parametrize("seed", range(4))
async def test_response_is_the_same_with_and_without_cache(
    ruled: RunningGateway, matched: list[None], seed: int
) -> None:
    choose = random.Random(seed)
    pairs = [await ruled.login(n, groups=["team-a"] * (n % 2)) for n in range(1, 6)]
    tokens = [pair["access"] for pair in pairs]
    ended = await ruled.login(9)
    await ruled.post("/logout", headers={"Authorization": f"Bearer {ended['access']}"})
    cookie = (await ruled.sessions.open(LoginRequest(sub="8", source="client:shop"))).token
    credentials = [
        *[{"Authorization": f"Bearer {token}"} for token in (*tokens, ended["access"])],
        {"Authorization": f"Bearer {tokens[0][:-2]}"},
        {"Authorization": f"Bearer {pairs[0]['refresh']}"},
        {"Authorization": "Basic Ym9iOng="},
        {"Authorization": "Bearer agw_x"},
        {"Cookie": f"authgw={tokens[0]}; other=1"},
        {"Cookie": f"authgw={cookie}"},
        {"Cookie": f"authgw={cookie}", "Authorization": 'MediaBrowser Token="x"'},
        {"Cookie": f"authgw={cookie}", "Authorization": "Negotiate x"},
        {"Cookie": f"authgw={cookie}", "Authorization": f"Bearer {ended['access']}"},
        {},
    ]
    more = [
        {},
        {"X-Forwarded-For": "10.1.1.1"},
        {"Accept": "text/html"},
        {"X-Original-Method": "OPTIONS"},
        {
            "X-Original-Method": "OPTIONS",
            "Origin": "https://a.example",
            "Access-Control-Request-Method": "GET",
        },
        {"Remote-User": "admin"},
        {"Connection": "keep-alive, Remote-User"},
        {"X-Original-Host": "other.example.com"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"x_method_override": "GET"},
        {"X-Original-Method": "MOVE"},
        {"X-Original-Method": "MOVE", "Destination": "/b"},
        {"X-Original-Method": "COPY", "Destination": "https://other.example.com/b"},
        {"X-Rewrite-URL": "/b/../c"},
    ]
    cache, matched_without_cache, statuses = ruled.serving.gateway.checks.cache, 0, set()

    async def result(headers: dict[str, str]) -> tuple[Any, ...]:
        ruled.events.clear()
        response = await ruled.client.get("/authenticate", headers=headers)
        own = ("Date", "X-Request-ID")
        common = sorted((k, v) for k, v in response.headers.items() if k not in own)
        events = [event._replace(request_id="") for event in ruled.events]
        statuses.add(response.status)
        return (
            response.status,
            common,
            await response.text() if response.status == 200 else "",
            events,
        )

    for _ in range(300):
        weights = (30, *[1] * (len(more) - 1))
        (odd,) = choose.choices(more, weights)
        headers = {**target(choose.choice(HOSTS)), **odd, **choose.choice(credentials)}
        cached = await result(headers)
        ruled.serving.gateway.checks.cache = None
        before = len(matched)
        complete = await result(headers)
        matched_without_cache += len(matched) - before
        ruled.serving.gateway.checks.cache = cache
        assert cached == complete, headers
    assert {200, 401, 403} <= statuses
    # A cached rule needs no matching, so that many checks used the cache.
    assert len(matched) - matched_without_cache < matched_without_cache - 50
