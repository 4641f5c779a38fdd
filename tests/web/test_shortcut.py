"""The decision cache allows nothing that a complete check would refuse."""

import asyncio
import time

import pytest

from authgw.core.rules import Allow, Credential, Rule, Rules, glob
from authgw.core.tokens import LEEWAY
from authgw.forward_auth import decision_cache
from authgw.identity import users_editor
from tests.support.builders import LIVES
from tests.support.gateway import ORIGINAL, PASSWORD, MakeGateway, RunningGateway


async def cached_pair(quick: RunningGateway, user_id: int = 1, **more: object) -> dict[str, str]:
    pair: dict[str, str] = await quick.login(user_id, **more)
    for _ in range(3):
        assert (await quick.check(pair["access"], **ORIGINAL)).status == 200
    assert len(quick.cache)
    return pair


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list of what was found for each check, a tuple for a cached response."""
    replies: list[object] = []
    real = decision_cache.DecisionCache.lookup

    def lookup(self: decision_cache.DecisionCache, *arguments: object) -> object:
        replies.append(real(self, *arguments))  # type: ignore[arg-type]  # as it is called
        return replies[-1]

    monkeypatch.setattr(decision_cache.DecisionCache, "lookup", lookup)
    return replies


async def test_third_check_is_a_cache_hit(lookups: list[object], quick: RunningGateway) -> None:
    await cached_pair(quick)
    assert [isinstance(cached, tuple) for cached in lookups[-3:]] == [False, False, True]


async def test_unconfirmed_generation_is_not_cached(
    lookups: list[object], quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await quick.login()
    body = await (await quick.post("/refresh", json={"refresh": pair["refresh"]})).json()

    async def discard(_: object) -> None:
        """Nothing is written."""

    with monkeypatch.context() as patch:
        patch.setattr(quick.sessions._store, "replace_many", discard)
        for _ in range(3):
            assert (await quick.check(body["access"], **ORIGINAL)).status == 200
            await quick.sessions.settle()
    for _ in range(3):
        assert (await quick.check(body["access"], **ORIGINAL)).status == 200
        await quick.sessions.settle()
    assert [isinstance(cached, tuple) for cached in lookups[-6:]] == [*[False] * 5, True]


async def test_logout_takes_effect_at_once(quick: RunningGateway) -> None:
    pair = await cached_pair(quick)
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    assert (await quick.post("/logout", headers=bearer)).status == 200
    response = await quick.check(pair["access"], **ORIGINAL)
    assert (response.status, response.headers["X-Authgw-Reason"]) == (401, "session_ended")


async def test_each_caller_gets_its_own_response(quick: RunningGateway) -> None:
    pairs = {user: await cached_pair(quick, user) for user in (1, 2)}
    for _ in range(10):
        for user, pair in pairs.items():
            response = await quick.check(pair["access"], **ORIGINAL)
            assert response.headers["Remote-User"] == str(user)
            response = await quick.check(pair["access"])
            assert (await response.json())["user_id"] == user


@pytest.mark.parametrize("name", ["Remote-User", "remote_user", "Remote.Groups"])
async def test_identity_header_is_always_refused(quick: RunningGateway, name: str) -> None:
    pair = await cached_pair(quick)
    response = await quick.check(pair["access"], **ORIGINAL, **{name: "admin"})
    assert response.headers["X-Authgw-Reason"] == "identity_header_from_client"
    response = await quick.check(pair["access"], **ORIGINAL, Connection=f"close, {name}")
    assert response.headers["X-Authgw-Reason"] == "identity_header_from_client"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-HTTP-Method-Override", "DELETE"),
        ("x_http_method", "delete"),
        ("X-Method-Override", "GET, DELETE"),
        ("X-Rewrite-URL", "/admin/x"),
        ("X_Original_URL", "/admin/x"),
    ],
)
async def test_further_target_is_always_decided(
    make_gateway: MakeGateway, name: str, value: str
) -> None:
    both = Allow(authenticated=True)
    got = Rule("a", both, None, (glob("/a"), glob("/")), frozenset({"GET", "POST"}), number=0)
    running = await make_gateway(rules=Rules([got]), logging={"decisions": "denied"})
    pair = await running.login()
    for _ in range(3):
        assert (await running.check(pair["access"], **ORIGINAL)).status == 200
    response = await running.check(pair["access"], **ORIGINAL, **{name: value})
    assert response.headers["X-Authgw-Reason"] == "override_denied"
    assert (await running.check(pair["access"], **ORIGINAL)).status == 200


async def test_destination_of_move_is_always_decided(make_gateway: MakeGateway) -> None:
    rules = Rules([Rule("a", Allow(authenticated=True), None, (glob("/a/**"),), number=0)])
    moving = {
        **ORIGINAL,
        "X-Original-URL": "https://app.example.com/a/x",
        "X-Original-Method": "MOVE",
    }
    running = await make_gateway(rules=rules, logging={"decisions": "denied"})
    pair = await running.login()
    for target, status in [*[("/a/y", 200)] * 4, ("/b/y", 403), ("/a/y", 200), ("", 403)]:
        response = await running.check(pair["access"], **moving, Destination=target)
        assert response.status == status


async def test_cached_token_expires(make_gateway: MakeGateway) -> None:
    now, offset = time.time(), [0.0]
    quick = await make_gateway(logging={"decisions": "denied"}, clock=lambda: now + offset[0])
    pair = await cached_pair(quick)
    offset[0] = LIVES.access + LEEWAY - 1
    assert (await quick.check(pair["access"], **ORIGINAL)).status == 200
    offset[0] += 1
    response = await quick.check(pair["access"], **ORIGINAL)
    assert response.headers["X-Authgw-Reason"] == "token_expired"


async def test_max_staleness_holds_for_cached_decisions(make_gateway: MakeGateway) -> None:
    quick = await make_gateway(logging={"decisions": "denied"}, cache={"max_staleness": 0})
    pair = await uncached_pair(quick)
    await quick.store.revoke(pair["sid"])
    assert (await quick.check(pair["access"], **ORIGINAL)).status == 401


async def uncached_pair(quick: RunningGateway) -> dict[str, str]:
    pair: dict[str, str] = await quick.login()
    for _ in range(3):
        assert (await quick.check(pair["access"], **ORIGINAL)).status == 200
    return pair


async def test_change_of_the_users_file_takes_effect_at_once(quick: RunningGateway) -> None:
    response = await quick.post("/login", {"username": "bob", "password": PASSWORD})
    pair = await response.json()
    for _ in range(3):
        assert (await quick.check(pair["access"], **ORIGINAL)).status == 200
    await asyncio.sleep(0.3)
    users_editor.set_disabled(quick.users.path, "bob", True)
    await asyncio.sleep(0.3)
    assert quick.users.reload_if_changed() == ""
    response = await quick.check(pair["access"], **ORIGINAL)
    assert response.headers["X-Authgw-Reason"] == "session_ended"


@pytest.fixture
async def ruled(make_gateway: MakeGateway) -> RunningGateway:
    rules = Rules(
        [
            Rule("a", Allow(groups=frozenset({"users"})), "app.example.com", number=0),
            Rule("b", Allow(groups=frozenset({"team-a"})), "team.example.com", number=1),
            Rule(
                "c",
                Allow(authenticated=True),
                "cookie.example.com",
                credentials=frozenset({Credential.COOKIE}),
                number=2,
            ),
        ]
    )
    return await make_gateway(rules=rules, logging={"decisions": "denied"})


async def test_cached_rules_are_independent(ruled: RunningGateway) -> None:
    member = await cached_pair(ruled, 1, groups=["users"])
    both = await cached_pair(ruled, 2, groups=["users", "team-a"])

    def target(host: str) -> dict[str, str]:
        url = {"X-Original-URL": f"https://{host}/", "X-Original-Host": host}
        return {**ORIGINAL, **url}

    for _ in range(3):
        assert (await ruled.check(both["access"], **target("team.example.com"))).status == 200
        assert (await ruled.check(member["access"], **target("team.example.com"))).status == 403
        assert (await ruled.check(member["access"], **target("cookie.example.com"))).status == 401
        assert (await ruled.check(member["access"], **target("app.example.com"))).status == 200
        assert (await ruled.check(member["access"])).status == 403


async def test_number_of_entries_is_limited(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_cache, "MAX_CACHED_CHECKS", 5)
    monkeypatch.setattr(decision_cache, "MAX_CACHED_CALLERS_BYTES", 4000)
    pair = await cached_pair(quick)
    for number in range(20):
        original = {**ORIGINAL, "X-Original-URL": f"https://app.example.com/{number}"}
        assert (await quick.check(pair["access"], **original)).status == 200
        await cached_pair(quick, number + 2)
    assert len(quick.cache) == 5


@pytest.mark.parametrize(("size", "is_cached"), [(7000, True), (8200, False)])
async def test_large_heads_are_not_cached(
    quick: RunningGateway, size: int, is_cached: bool
) -> None:
    pair = await quick.login()
    for _ in range(3):
        for more in ({"Cookie": "x" * size}, {"X-" + "n" * size: "x"}):
            response = await quick.check(pair["access"], **ORIGINAL, **more)
            assert response.status == 200
    assert bool(len(quick.cache)) == is_cached


async def test_large_names_of_refused_requests_are_not_cached(quick: RunningGateway) -> None:
    before = bytes_of_names(quick)
    for number in range(3):
        name = f"X-{number}-" + "n" * 20_000
        assert (await quick.check("none", **ORIGINAL, **{name: "x"})).status == 401
    assert bytes_of_names(quick) - before < 10_000


def bytes_of_names(quick: RunningGateway) -> int:
    """Return the bytes of all cached names."""
    return sum(map(len, quick.cache._classifier._kinds))


async def test_other_paths_are_not_cached(quick: RunningGateway) -> None:
    pair = await cached_pair(quick)
    bearer = {"Authorization": f"Bearer {pair['access']}", **ORIGINAL}
    for path in ("/authenticate/forward", "/authenticate/", "/ping", "/authenticate?x=1"):
        response = await quick.client.get(path, headers=bearer)
        assert response.status == {"/ping": 200, "/authenticate?x=1": 200}.get(
            path, 403 if path.endswith("forward") else 404
        )
