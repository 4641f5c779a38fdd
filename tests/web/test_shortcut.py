"""The short way answers nothing that the long way would refuse now."""

import asyncio
import time

import pytest

from authgw.core.rules import Allow, Credential, Rule, Rules, glob
from authgw.core.tokens import LEEWAY
from authgw.identity import users_editor
from authgw.web import decision_cache
from tests.support.builders import LIVES
from tests.support.gateway import ORIGINAL, PASSWORD, MakeGateway, RunningGateway


async def known(quick: RunningGateway, user_id: int = 1, **more: object) -> dict[str, str]:
    pair: dict[str, str] = await quick.login(user_id, **more)
    for _ in range(3):
        assert (await quick.check(pair["access"], **ORIGINAL)).status == 200
    assert len(quick.cache)
    return pair


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was known of each check, None where nothing was."""
    replies: list[object] = []
    real = decision_cache.DecisionCache.lookup

    def known(self: decision_cache.DecisionCache, *asked: object) -> object:
        replies.append(real(self, *asked))  # type: ignore[arg-type]  # as it is called
        return replies[-1]

    monkeypatch.setattr(decision_cache.DecisionCache, "lookup", known)
    return replies


async def test_the_third_time_is_short(given: list[object], quick: RunningGateway) -> None:
    await known(quick)
    assert [one is not None for one in given[-3:]] == [False, False, True]


async def test_nothing_is_short_before_the_generation_is_confirmed(
    given: list[object], quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await quick.login()
    body = await (await quick.post("/refresh", json={"refresh": pair["refresh"]})).json()

    async def lost(_: object) -> None:
        """Nothing is written."""

    with monkeypatch.context() as patch:
        patch.setattr(quick.sessions._store, "replace_many", lost)
        for _ in range(3):
            assert (await quick.check(body["access"], **ORIGINAL)).status == 200
            await quick.sessions.settle()
    for _ in range(3):
        assert (await quick.check(body["access"], **ORIGINAL)).status == 200
        await quick.sessions.settle()
    assert [one is not None for one in given[-6:]] == [*[False] * 5, True]


async def test_a_log_out_is_seen_at_once(quick: RunningGateway) -> None:
    pair = await known(quick)
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    assert (await quick.post("/logout", headers=bearer)).status == 200
    answer = await quick.check(pair["access"], **ORIGINAL)
    assert (answer.status, answer.headers["X-Authgw-Reason"]) == (401, "session_ended")


async def test_nobody_gets_the_answer_of_another(quick: RunningGateway) -> None:
    pairs = {user: await known(quick, user) for user in (1, 2)}
    for _ in range(10):
        for user, pair in pairs.items():
            answer = await quick.check(pair["access"], **ORIGINAL)
            assert answer.headers["Remote-User"] == str(user)
            answer = await quick.check(pair["access"])
            assert (await answer.json())["user_id"] == user


@pytest.mark.parametrize("name", ["Remote-User", "remote_user", "Remote.Groups"])
async def test_an_identity_header_is_always_seen(quick: RunningGateway, name: str) -> None:
    pair = await known(quick)
    answer = await quick.check(pair["access"], **ORIGINAL, **{name: "admin"})
    assert answer.headers["X-Authgw-Reason"] == "identity_header_from_client"
    answer = await quick.check(pair["access"], **ORIGINAL, Connection=f"close, {name}")
    assert answer.headers["X-Authgw-Reason"] == "identity_header_from_client"


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
async def test_a_further_target_is_always_judged(
    make_gateway: MakeGateway, name: str, value: str
) -> None:
    both = Allow(authenticated=True)
    got = Rule("a", both, None, (glob("/a"), glob("/")), frozenset({"GET", "POST"}), number=0)
    running = await make_gateway(rules=Rules([got]), logging={"decisions": "denied"})
    pair = await running.login()
    for _ in range(3):
        assert (await running.check(pair["access"], **ORIGINAL)).status == 200
    answer = await running.check(pair["access"], **ORIGINAL, **{name: value})
    assert answer.headers["X-Authgw-Reason"] == "override_denied"
    assert (await running.check(pair["access"], **ORIGINAL)).status == 200


async def test_where_a_move_leads_is_always_judged(make_gateway: MakeGateway) -> None:
    rules = Rules([Rule("a", Allow(authenticated=True), None, (glob("/a/**"),), number=0)])
    moving = {
        **ORIGINAL,
        "X-Original-URL": "https://app.example.com/a/x",
        "X-Original-Method": "MOVE",
    }
    running = await make_gateway(rules=rules, logging={"decisions": "denied"})
    pair = await running.login()
    for target, status in [*[("/a/y", 200)] * 4, ("/b/y", 403), ("/a/y", 200), ("", 403)]:
        answer = await running.check(pair["access"], **moving, Destination=target)
        assert answer.status == status


async def test_a_token_expires_on_the_short_way_too(make_gateway: MakeGateway) -> None:
    late = [0.0]
    quick = await make_gateway(logging={"decisions": "denied"}, clock=lambda: time.time() + late[0])
    pair = await known(quick)
    late[0] = LIVES.access + LEEWAY - 1
    assert (await quick.check(pair["access"], **ORIGINAL)).status == 200
    late[0] += 1
    answer = await quick.check(pair["access"], **ORIGINAL)
    assert answer.headers["X-Authgw-Reason"] == "token_expired"


async def test_a_session_is_never_older_than_the_bound(make_gateway: MakeGateway) -> None:
    quick = await make_gateway(logging={"decisions": "denied"}, cache={"max_staleness": 0})
    pair = await known_slowly(quick)
    await quick.store.revoke(pair["sid"])
    assert (await quick.check(pair["access"], **ORIGINAL)).status == 401


async def known_slowly(quick: RunningGateway) -> dict[str, str]:
    pair: dict[str, str] = await quick.login()
    for _ in range(3):
        assert (await quick.check(pair["access"], **ORIGINAL)).status == 200
    return pair


async def test_the_users_file_is_looked_at_each_time(quick: RunningGateway) -> None:
    answer = await quick.post("/login", {"username": "bob", "password": PASSWORD})
    pair = await answer.json()
    for _ in range(3):
        assert (await quick.check(pair["access"], **ORIGINAL)).status == 200
    await asyncio.sleep(0.3)
    users_editor.set_disabled(quick.users.path, "bob", True)
    await asyncio.sleep(0.3)
    assert quick.users.reload_if_changed() == ""
    answer = await quick.check(pair["access"], **ORIGINAL)
    assert answer.headers["X-Authgw-Reason"] == "session_ended"


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


async def test_each_rule_decides_for_itself(ruled: RunningGateway) -> None:
    member = await known(ruled, 1, groups=["users"])
    both = await known(ruled, 2, groups=["users", "team-a"])

    def asked(host: str) -> dict[str, str]:
        url = {"X-Original-URL": f"https://{host}/", "X-Original-Host": host}
        return {**ORIGINAL, **url}

    for _ in range(3):
        assert (await ruled.check(both["access"], **asked("team.example.com"))).status == 200
        assert (await ruled.check(member["access"], **asked("team.example.com"))).status == 403
        assert (await ruled.check(member["access"], **asked("cookie.example.com"))).status == 401
        assert (await ruled.check(member["access"], **asked("app.example.com"))).status == 200
        assert (await ruled.check(member["access"])).status == 403


async def test_what_is_remembered_is_bounded(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_cache, "_MAX_ENTRIES", 5)
    pair = await known(quick)
    for number in range(20):
        original = {**ORIGINAL, "X-Original-URL": f"https://app.example.com/{number}"}
        assert (await quick.check(pair["access"], **original)).status == 200
        await known(quick, number + 2)
    assert len(quick.cache) == 5


@pytest.mark.parametrize(("size", "remembered"), [(7000, True), (8200, False)])
async def test_large_heads_are_answered_and_not_remembered(
    quick: RunningGateway, size: int, remembered: bool
) -> None:
    pair = await quick.login()
    for _ in range(3):
        for more in ({"Cookie": "x" * size}, {"X-" + "n" * size: "x"}):
            answer = await quick.check(pair["access"], **ORIGINAL, **more)
            assert answer.status == 200
    assert bool(len(quick.cache)) == remembered


async def test_whoever_is_refused_leaves_no_large_name_behind(quick: RunningGateway) -> None:
    before = memory_of_names(quick)
    for number in range(3):
        name = f"X-{number}-" + "n" * 20_000
        assert (await quick.check("none", **ORIGINAL, **{name: "x"})).status == 401
    assert memory_of_names(quick) - before < 10_000


def memory_of_names(quick: RunningGateway) -> int:
    """Bytes of the names that are remembered by what they can matter for."""
    return sum(map(len, quick.cache._classifier._kinds))


async def test_another_path_takes_the_long_way(quick: RunningGateway) -> None:
    pair = await known(quick)
    bearer = {"Authorization": f"Bearer {pair['access']}", **ORIGINAL}
    for path in ("/authenticate/forward", "/authenticate/", "/ping", "/authenticate?x=1"):
        answer = await quick.client.get(path, headers=bearer)
        assert answer.status == {"/ping": 200, "/authenticate?x=1": 200}.get(
            path, 403 if path.endswith("forward") else 404
        )
