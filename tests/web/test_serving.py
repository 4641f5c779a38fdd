"""A reload takes effect between requests, never during a request; a drain closes connections."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from authgw.core.rules import Allow, Rule, Rules
from authgw.forward_auth.endpoint import CheckEndpoint
from authgw.web.context import Gateway
from tests.support.gateway import ORIGINAL, MakeGateway, RunningGateway

EVERYBODY = Rules((Rule("old", Allow(authenticated=True)),))
NOBODY = Rules((Rule("new", Allow(groups=frozenset({"nobody"}))),))


def with_rules(gateway: Gateway, rules: Rules) -> Gateway:
    policy = replace(gateway.policy, rules=rules)
    checks = CheckEndpoint(replace(gateway.checks.context, policy=policy))
    return replace(gateway, policy=policy, checks=checks)


@pytest.fixture
async def ruled(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(
        rules=EVERYBODY, logging={"decisions": "denied"}, cache={"max_staleness": 0}
    )


@pytest.mark.parametrize("is_cached", [False, True])
async def test_pending_request_is_decided_by_the_rules_of_its_start(
    ruled: RunningGateway, monkeypatch: pytest.MonkeyPatch, is_cached: bool
) -> None:
    if is_cached:
        before = await ruled.login(2)
        assert (await ruled.check(before["access"], **ORIGINAL)).status == 200
    pair, read = await ruled.login_elsewhere(), ruled.store.read_many
    has_started, may_continue = asyncio.Event(), asyncio.Event()

    async def delayed(sids: Sequence[str]) -> Any:
        has_started.set()
        await may_continue.wait()
        return await read(sids)

    monkeypatch.setattr(ruled.store, "read_many", delayed)
    pending = asyncio.create_task(ruled.check(pair["access"], **ORIGINAL))
    await asyncio.wait_for(has_started.wait(), 5)
    ruled.serving.use(with_rules(ruled.serving.gateway, NOBODY))
    may_continue.set()
    assert (await pending).status == 200
    assert not len(ruled.cache)
    assert (await ruled.check(pair["access"], **ORIGINAL)).status == 403


async def test_reload_discards_cached_decisions(
    ruled: RunningGateway,
) -> None:
    pair = await ruled.login()
    for _ in range(3):
        assert (await ruled.check(pair["access"], **ORIGINAL)).status == 200
    assert len(ruled.cache)
    ruled.serving.use(with_rules(ruled.serving.gateway, NOBODY))
    assert (await ruled.check(pair["access"], **ORIGINAL)).status == 403


async def test_every_response_during_drain_closes_its_connection(quick: RunningGateway) -> None:
    pair = await quick.login()
    for _ in range(3):
        kept = await quick.check(pair["access"], **ORIGINAL)
        assert "Connection" not in kept.headers
    assert len(quick.cache)
    quick.serving.draining = True
    last = await quick.check(pair["access"], **ORIGINAL)
    common = {name: value for name, value in kept.headers.items() if name != "Date"}
    assert common.items() <= dict(last.headers).items()
    responses = [
        last,
        await quick.client.get("/authenticate", headers=ORIGINAL),
        await quick.client.get("/healthz"),
        await quick.client.get("/nothing"),
        await quick.post("/login", {"user_id": 2}, headers=quick.shop),
    ]
    assert [response.status for response in responses] == [200, 401, 200, 404, 200]
    assert {response.headers.get("Connection") for response in responses} == {"close"}


async def test_refused_expectation_during_drain_closes_connection(quick: RunningGateway) -> None:
    quick.serving.draining = True
    reader, writer = await asyncio.open_connection(quick.client.host, quick.client.port)
    writer.write(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nExpect: the unexpected\r\n\r\n")
    response = await asyncio.wait_for(reader.read(), 5)
    assert response.startswith(b"HTTP/1.1 417 ")
    assert b"\r\nConnection: close\r\n" in response
    writer.close()


async def test_request_pending_at_start_of_drain_closes_connection(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, look = await quick.login_elsewhere(), quick.store.read_many

    async def start_drain(sids: Sequence[str]) -> Any:
        quick.serving.draining = True
        return await look(sids)

    monkeypatch.setattr(quick.store, "read_many", start_drain)
    response = await quick.check(pair["access"], **ORIGINAL)
    assert (response.status, response.headers["Connection"]) == (200, "close")
