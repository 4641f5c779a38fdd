"""What answers changes between two requests, never within one; a drain says so in each answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from authgw.core.rules import Allow, Rule, Rules
from authgw.web.context import Gateway
from tests.support.gateway import ORIGINAL, MakeGateway, RunningGateway

EVERYBODY = Rules((Rule("old", Allow(authenticated=True)),))
NOBODY = Rules((Rule("new", Allow(groups=frozenset({"nobody"}))),))


def with_rules(gateway: Gateway, rules: Rules) -> Gateway:
    return replace(gateway, policy=replace(gateway.policy, rules=rules))


@pytest.fixture
async def ruled(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(
        rules=EVERYBODY, logging={"decisions": "denied"}, cache={"max_staleness": 0}
    )


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_request_under_way_is_decided_by_the_rules_that_it_met(
    ruled: RunningGateway, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    if is_known:
        before = await ruled.login(2)
        assert (await ruled.check(before["access"], **ORIGINAL)).status == 200
    pair, read = await ruled.login(), ruled.store.read_many
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def late(sids: Sequence[str]) -> Any:
        asked.set()
        await go_on.wait()
        return await read(sids)

    monkeypatch.setattr(ruled.store, "read_many", late)
    under_way = asyncio.create_task(ruled.check(pair["access"], **ORIGINAL))
    await asyncio.wait_for(asked.wait(), 5)
    ruled.serving.use(with_rules(ruled.serving.gateway, NOBODY))
    go_on.set()
    assert (await under_way).status == 200
    assert not len(ruled.cache)
    assert (await ruled.check(pair["access"], **ORIGINAL)).status == 403


async def test_what_was_learned_under_the_old_rules_is_not_answered_under_the_new(
    ruled: RunningGateway,
) -> None:
    pair = await ruled.login()
    for _ in range(3):
        assert (await ruled.check(pair["access"], **ORIGINAL)).status == 200
    assert len(ruled.cache)
    ruled.serving.use(with_rules(ruled.serving.gateway, NOBODY))
    assert (await ruled.check(pair["access"], **ORIGINAL)).status == 403


async def test_every_answer_of_a_drain_is_the_last_on_its_connection(quick: RunningGateway) -> None:
    pair = await quick.login()
    for _ in range(3):
        kept = await quick.check(pair["access"], **ORIGINAL)
        assert "Connection" not in kept.headers
    assert len(quick.cache)
    quick.serving.draining = True
    last = await quick.check(pair["access"], **ORIGINAL)
    said = {name: value for name, value in kept.headers.items() if name != "Date"}
    assert said.items() <= dict(last.headers).items()
    asked = [
        last,
        await quick.client.get("/authenticate", headers=ORIGINAL),
        await quick.client.get("/healthz"),
        await quick.client.get("/nothing"),
        await quick.post("/login", {"user_id": 2}, headers=quick.shop),
    ]
    assert [one.status for one in asked] == [200, 401, 200, 404, 200]
    assert {one.headers.get("Connection") for one in asked} == {"close"}


async def test_what_aiohttp_refuses_by_itself_is_the_last_too(quick: RunningGateway) -> None:
    quick.serving.draining = True
    reader, writer = await asyncio.open_connection(quick.client.host, quick.client.port)
    writer.write(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nExpect: the unexpected\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 417 ")
    assert b"\r\nConnection: close\r\n" in answer
    writer.close()


async def test_a_request_that_a_drain_overtakes_is_the_last_too(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, look = await quick.login(), quick.store.read_many

    async def begins(sids: Sequence[str]) -> Any:
        quick.serving.draining = True
        return await look(sids)

    monkeypatch.setattr(quick.store, "read_many", begins)
    answer = await quick.check(pair["access"], **ORIGINAL)
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
