"""Sentinels, a Cluster and TLS."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from authgw.core.errors import StoreUnavailableError
from authgw.core.sessions import Snapshot
from authgw.storage import StoreSetupError
from authgw.storage.redis.connect import connect
from authgw.storage.redis.link import RedisLink
from authgw.storage.redis.replies import Request
from authgw.storage.redis.store import RedisStore
from tests.support.builders import numbered
from tests.support.redis_sets import Node, Nodes


def opened(url: str, **options: Any) -> RedisStore:
    return RedisStore(connect(url, **options), idle=60, session_max=600)


@pytest.fixture
async def sharded(shards: Nodes) -> AsyncIterator[RedisStore]:
    for node in shards.masters:
        node.client.flushall()
    store = opened(shards.url)
    yield store
    await store.close()


async def refusal(store: RedisStore) -> str:
    try:
        with pytest.raises(StoreSetupError) as refused:
            await store.check()
        return str(refused.value)
    finally:
        await store.close()


async def test_each_topology_passes_the_check(sentinels: Nodes, shards: Nodes, tls: Node) -> None:
    for store in (
        opened(sentinels.url),
        opened(shards.url),
        opened(f"rediss://127.0.0.1:{tls.port}", ca_file=tls.authority),
    ):
        await store.check()
        await store.ping()
        await store.close()


async def test_a_url_of_another_topology_is_refused(shards: Nodes, redis_url: str) -> None:
    node = f"redis://127.0.0.1:{shards.nodes[0].port}"
    assert "write redis+cluster://" in await refusal(opened(node))
    plain = redis_url.replace("redis://", "redis+cluster://")
    assert "is not a Cluster: write redis://" in await refusal(opened(plain))


async def test_a_master_that_evicts_is_refused_wherever_it_is(shards: Nodes) -> None:
    last = shards.masters[-1]
    last.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        message = await refusal(opened(shards.url))
    finally:
        last.client.config_set("maxmemory-policy", "noeviction")
    assert f"127.0.0.1:{last.port} may evict sessions" in message


async def test_a_missing_permission_is_refused(sentinels: Nodes) -> None:
    master = sentinels.masters[0]
    master_url = sentinels.url.replace("://", "://poor:any@")
    # For commands in scripts, Redis 7.0 names only the line of the script.
    refused = {"wait": "wait", "role": "role", "getex": "getex", "publish": "the script can't run"}
    for word, named in refused.items():
        for node in sentinels.nodes:
            node.client.acl_setuser(
                "poor",
                enabled=True,
                nopass=True,
                reset=True,
                keys="authgw:*",
                channels="authgw:*",
                commands=["+@all", f"-{word}"],
            )
        message = await refusal(opened(master_url))
        assert named in message.lower()
        assert "grant it to the user of authgw" in message
    assert master.client.acl_deluser("poor")


async def test_sentinels_without_the_named_master_are_unavailable(sentinels: Nodes) -> None:
    store = opened(sentinels.url.replace("/sessions", "/another"))
    with pytest.raises(StoreUnavailableError, match="No master found for 'another'"):
        await store.check()
    await store.close()


async def test_an_untrusted_certificate_is_unavailable(tls: Node, tmp_path: Path) -> None:
    store = opened(f"rediss://127.0.0.1:{tls.port}")
    with pytest.raises(StoreUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        await store.check()
    await store.close()
    other = opened(f"rediss://localhost:{tls.port}", ca_file=tls.authority)
    with pytest.raises(StoreUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        await other.check()
    await other.close()
    (tmp_path / "no.pem").write_text("no certificate")
    for file, reason in (("no.pem", "contains no certificate"), ("absent.pem", "does not exist")):
        with pytest.raises(StoreSetupError, match=reason):
            opened(f"rediss://127.0.0.1:{tls.port}", ca_file=tmp_path / file)


async def test_read_many_takes_one_round_trip_to_each_shard(
    sharded: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = [numbered(1, str(sub)) for sub in range(30)]
    for session in added:
        await sharded.add(session, 10)
    send, trips = RedisLink.send, 0

    def counting(
        link: RedisLink, requests: Sequence[Request], deadline: float
    ) -> asyncio.Future[list[object]]:
        nonlocal trips
        trips += 1
        return send(link, requests, deadline)

    monkeypatch.setattr(RedisLink, "send", counting)
    outcomes = await sharded.read_many([session.sid for session in added])
    assert [seen.session for seen in outcomes if isinstance(seen, Snapshot)] == added
    assert trips == 3


async def test_a_half_moved_slot_loses_no_session(sharded: RedisStore, shards: Nodes) -> None:
    moved, stays = numbered(1), numbered(2)
    for session in (moved, stays):
        await sharded.add(session, 10)
    slot = key_slot(f"authgw:{{{moved.sid[:22]}}}:i".encode())
    source = next(node for node in shards.masters if node.client.keys(f"*{moved.sid}"))
    target = next(node for node in shards.masters if node is not source)
    ids = {node.port: str(_cluster(node, "MYID"), "ascii") for node in (source, target)}
    _cluster(target, "SETSLOT", slot, "IMPORTING", ids[source.port])
    _cluster(source, "SETSLOT", slot, "MIGRATING", ids[target.port])
    _migrate(source, target, f"authgw:{{{moved.sid[:22]}}}:s:{moved.sid}")
    # A single key is found wherever it is.
    for session in (moved, stays):
        assert (await sharded.read(session.sid)).session == session
    seen = await sharded.read(moved.sid)
    newer = replace(moved, gen=1)
    assert await sharded.replace(seen, newer) is None
    # Operations that need all keys of a subject fail rather than use only some of them.
    _migrate(source, target, f"authgw:{{{moved.sid[:22]}}}:i")
    for call in (sharded.revoke_all("1"), sharded.add(numbered(3), 10), sharded.revoke(stays.sid)):
        with pytest.raises(StoreUnavailableError):
            await call
    for session in (newer, stays):
        assert (await sharded.read(session.sid)).session == session
    _migrate(source, target, f"authgw:{{{moved.sid[:22]}}}:s:{stays.sid}")
    for node in (target, source, *shards.masters):
        _cluster(node, "SETSLOT", slot, "NODE", ids[target.port])
    # The store still uses the source, which now redirects to the target.
    assert await sharded.sessions_of("1") == (newer, stays)
    assert set(await sharded.revoke_all("1")) == {moved.sid, stays.sid}
    assert not target.client.keys(f"*{moved.sid}")


def _cluster(node: Node, *words: str | int) -> Any:
    client: Any = node.client
    return client.execute_command(f"CLUSTER {words[0]}", *words[1:])


def _migrate(source: Node, target: Node, key: str) -> None:
    client: Any = source.client
    client.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 1000)
