"""Where a question's rule is known only the credentials are looked at, and nothing else changes."""

import random
from collections.abc import Sequence
from dataclasses import astuple, replace
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
    """An entry for each request for which a rule was looked for."""
    calls: list[None] = []
    real = Rules.match

    def match(self: Rules, access: AccessRequest) -> Match:
        calls.append(None)
        return real(self, access)

    monkeypatch.setattr(Rules, "match", match)
    return calls


def asking(host: str, **more: str) -> dict[str, str]:
    url = {"X-Original-URL": f"https://{host}/a", "X-Original-Host": host}
    return {**ORIGINAL, **url, **more}


async def test_a_new_caller_is_all_that_is_looked_at(
    ruled: RunningGateway, matched: list[None]
) -> None:
    for user in range(1, 6):
        pair = await ruled.login(user)
        answer = await ruled.check(pair["access"], **asking(APP))
        assert (answer.status, answer.headers["Remote-User"]) == (200, str(user))
    assert len(matched) == 1


async def test_who_may_not_pass_is_refused_in_the_same_words(ruled: RunningGateway) -> None:
    member = await ruled.login(1, groups=["team-a"])
    assert (await ruled.check(member["access"], **asking(TEAM))).status == 200
    other = await ruled.login(2, groups=["users"])
    ruled.events.clear()
    answer = await ruled.check(other["access"], **asking(TEAM))
    assert (answer.status, answer.headers["X-Authgw-Reason"]) == (403, "not_permitted")
    assert await answer.read() == b""
    (event,) = ruled.events
    assert event.detail.startswith("403 GET team.example.com/a: 2 matched rules[1]")


async def test_a_dead_store_is_a_503_after_one_question(
    ruled: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await ruled.login(1), await ruled.login(2)
    assert (await ruled.check(first["access"], **asking(APP))).status == 200
    asked = 0

    async def fail(sids: Sequence[str]) -> list[StoreUnavailableError]:
        nonlocal asked
        asked += 1
        return [StoreUnavailableError("Redis: TimeoutError") for _ in sids]

    monkeypatch.setattr(ruled.store, "read_many", fail)
    ruled.events.clear()
    answer = await ruled.check(second["access"], **asking(APP))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert asked == 1
    (event,) = ruled.events
    assert event.detail == "503 GET app.example.com/a: Redis: TimeoutError"


@pytest.mark.parametrize("seed", range(4))
async def test_no_answer_differs_from_that_of_a_gateway_without_memory(
    ruled: RunningGateway, matched: list[None], seed: int
) -> None:
    choose = random.Random(seed)
    pairs = [await ruled.login(n, groups=["team-a"] * (n % 2)) for n in range(1, 6)]
    tokens = [pair["access"] for pair in pairs]
    ended = await ruled.login(9)
    await ruled.post("/logout", headers={"Authorization": f"Bearer {ended['access']}"})
    cookie = (await ruled.sessions.open(LoginRequest(sub="8", source="client:shop"))).token
    shown = [
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
    remembering, asked, statuses = ruled.serving.cache, 0, set()

    async def answered(headers: dict[str, str]) -> tuple[Any, ...]:
        ruled.events.clear()
        answer = await ruled.client.get("/authenticate", headers=headers)
        own = ("Date", "X-Request-ID")
        kept = sorted((k, v) for k, v in answer.headers.items() if k not in own)
        events = [astuple(replace(event, request_id="")) for event in ruled.events]
        statuses.add(answer.status)
        return answer.status, kept, await answer.text() if answer.status == 200 else "", events

    for _ in range(300):
        weights = (30, *[1] * (len(more) - 1))
        (odd,) = choose.choices(more, weights)
        headers = {**asking(choose.choice(HOSTS)), **odd, **choose.choice(shown)}
        quick = await answered(headers)
        ruled.serving.cache = None
        before = len(matched)
        slow = await answered(headers)
        asked += len(matched) - before
        ruled.serving.cache = remembering
        assert quick == slow, headers
    assert {200, 401, 403} <= statuses
    # What the memory knows it need not take apart, so these were answered by it.
    assert len(matched) - asked < asked - 50
