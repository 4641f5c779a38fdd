"""Writes that wait for a replica of Redis, and masters without a replica."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from authgw.core.errors import StoreUnavailableError
from authgw.core.records import record_hash
from authgw.core.sessions import Session
from authgw.storage.redis import commands
from authgw.storage.redis.commands import SingleMaster
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore
from tests.support.builders import numbered
from tests.support.redis_sets import (
    MASTER,
    Node,
    confirms,
    low_ports,
    replicas_online,
    sentinel_set,
    wait_until,
)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """A master and its replica."""
    master, copy = (Node(port, tmp_path / str(port), ("--save", "")) for port in low_ports(2))
    try:
        for node in (master, copy):
            node.start()
        copy.client.replicaof("127.0.0.1", str(master.port))
        master.client.config_set("repl-diskless-sync-delay", 0)
        wait_until(lambda: confirms(master), "the replica confirms")
        yield master, copy
    finally:
        master.stop()
        copy.stop()


@pytest.fixture
async def store(
    pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RedisStore]:
    monkeypatch.setattr(commands, "OPERATION_TIMEOUT", 2.0)
    (master,) = connect(f"redis://127.0.0.1:{pair[0].port}").known()
    master.name = "the master"
    store = RedisStore(SingleMaster(master, replicated=True), idle=60, session_max=600)
    yield store
    await store.close()


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


async def test_session_writes_are_in_a_replica_when_they_return(
    store: RedisStore, pair: tuple[Node, Node]
) -> None:
    _, copy = pair
    for number in range(1, 21):
        await store.add(numbered(number), 100)
        assert copy.client.dbsize() == 2
        seen = await store.read(numbered(number).sid)
        assert await store.replace(seen, replace(numbered(number), gen=1)) is None
        assert b'"gen":1' in (copy.client.get(redis_key(numbered(number))) or b"")
        assert await store.revoke(numbered(number).sid)
        assert copy.client.keys("authgw:*:s:*") == []
    await store.add(numbered(99), 100)
    assert await store.revoke_all("1") == (numbered(99).sid,)
    assert copy.client.keys("authgw:*:[si]*") == []


async def test_record_writes_are_in_a_replica_when_they_return(
    store: RedisStore, pair: tuple[Node, Node]
) -> None:
    _, copy = pair
    for number in range(1, 21):
        await store.put("a", str(number), 60)
        assert copy.client.get(f"authgw:r:{record_hash('a')}") == str(number).encode()
        assert await store.take("a") == str(number)
        assert copy.client.keys("authgw:r:*") == []
        await store.add_member("a", str(number), 60)
        assert copy.client.zcard(f"authgw:m:{record_hash('a')}") == number


async def test_record_writes_fail_without_an_acknowledgement(
    store: RedisStore, pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, copy = pair
    await store.put("a", "1", 60)
    copy.send(signal.SIGSTOP)
    monkeypatch.setattr(commands, "OPERATION_TIMEOUT", 0.6)
    calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: store.put("b", "1", 60),
        lambda: store.take("a"),
        lambda: store.add_member("a", "1", 60),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError, match=r"Unconfirmed|Timeout"):
            await call()
    # Reads need no confirmation.
    assert await store.get("b") == "1"
    assert await store.members("a") == ("1",)
    copy.send(signal.SIGCONT)


async def test_session_writes_fail_without_an_acknowledgement(
    store: RedisStore, pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, copy = pair
    for number in (1, 2, 3):
        await store.add(numbered(number), 100)
    seen = await store.read(numbered(1).sid)
    copy.send(signal.SIGSTOP)
    monkeypatch.setattr(commands, "OPERATION_TIMEOUT", 0.6)
    calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: store.add(numbered(4), 100),
        lambda: store.replace(seen, replace(numbered(1), gen=1)),
        lambda: store.revoke(numbered(2).sid),
        # Absent on the master, which does not confirm that a replica has the deletion.
        lambda: store.revoke(numbered(2).sid),
        lambda: store.revoke_all("1"),
        lambda: store.revoke_all("1"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError, match=r"Unconfirmed|Timeout"):
            await call()
    # Operations that need no confirmation succeed.
    assert (await store.read(numbered(2).sid)).session is None
    assert (await store.increment("a", 60))[0] == 1
    assert await store.claim("a", 60)
    (outcome,) = await store.replace_many([(seen, numbered(1))])
    assert outcome is not None
    copy.send(signal.SIGCONT)
    monkeypatch.setattr(commands, "OPERATION_TIMEOUT", 5.0)
    assert not await store.revoke(numbered(2).sid)
    assert await store.revoke_all("1") == ()
    assert copy.client.keys("authgw:*:[si]*") == []


async def test_revoking_an_absent_session_is_confirmed_by_a_write(
    store: RedisStore, pair: tuple[Node, Node]
) -> None:
    # WAIT guarantees no more; on a connection without writes it may return at once.
    for revocation in (store.revoke(numbered(1).sid), store.revoke_all("1")):
        before = pair[0].client.info("replication")["master_repl_offset"]
        await revocation
        assert pair[0].client.info("replication")["master_repl_offset"] > before
        # In a Cluster PUBLISH is not such a write: the scripts set a key that expires soon.
        (note,) = pair[0].client.keys("authgw:*:w")
        assert 0 < pair[0].client.pttl(note) <= 1000
        pair[0].client.delete(note)


async def test_a_master_without_a_replica_is_trusted_and_logged(
    store: RedisStore, pair: tuple[Node, Node], log: list[str]
) -> None:
    master, copy = pair
    copy.kill()
    wait_until(lambda: replicas_online(master) == 0, "the replica is gone")
    for number in (1, 2, 3):
        await store.add(numbered(number), 100)
        assert await store.revoke(numbered(number).sid)
    assert store.masters_without_replica == 1
    assert [line for line in log if "no connected replica" in line] == log
    assert len(log) == 1
    copy = Node(copy.port, copy.folder, ("--save", "", "--replicaof", f"127.0.0.1 {master.port}"))
    try:
        copy.start()
        wait_until(lambda: confirms(master), "the replica is back")
        await store.add(numbered(4), 100)
        assert copy.client.exists(redis_key(numbered(4)))
        assert store.masters_without_replica == 0
        assert log[1:] == ["the master has a replica again."]
        copy.send(signal.SIGSTOP)
        with pytest.raises(StoreUnavailableError):
            await store.revoke(numbered(4).sid)
    finally:
        copy.stop()


async def test_a_master_whose_replicas_follow_another_confirms_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    monkeypatch.setattr(commands, "OPERATION_TIMEOUT", 2.0)
    with sentinel_set(tmp_path) as nodes:
        store = RedisStore(connect(nodes.url), idle=60, session_max=600)
        await store.add(numbered(1), 100)
        await store.add(numbered(2), 100)
        old, new, other = nodes.nodes
        # As in a failover: the replicas follow another master before the old master is informed.
        new.client.replicaof("NO", "ONE")
        other.client.replicaof("127.0.0.1", str(new.port))
        for sentinel in nodes.sentinels:
            client: Any = sentinel.client
            client.sentinel_remove(MASTER)
            client.sentinel_monitor(MASTER, "127.0.0.1", new.port, 2)
        wait_until(lambda: replicas_online(old) == 0, "the old master is alone")
        wait_until(lambda: confirms(new), "the new one is not")
        with pytest.raises(StoreUnavailableError, match="Unconfirmed"):
            await store.revoke(numbered(1).sid)
        assert not log
        # The next call finds the new master, which has not executed the revocation yet.
        assert await store.revoke(numbered(1).sid)
        assert await store.revoke(numbered(2).sid)
        assert new.client.keys("authgw:*:s:*") == []
        await store.close()


async def test_concurrent_calls_do_not_share_the_state_of_replicas(
    store: RedisStore, pair: tuple[Node, Node]
) -> None:
    # While some calls still wait for a replica, others have determined that there are no replicas.
    pair[1].kill()
    wait_until(lambda: replicas_online(pair[0]) == 0, "the replica is gone")
    for _ in range(5):
        for server in store._servers.known():
            server.without_replica = False
        calls = [store.revoke(numbered(n).sid) for n in range(40)]
        # A busy machine may time out; any other exception is an error.
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert result is False or isinstance(result, StoreUnavailableError)


async def test_a_master_that_became_a_replica_confirms_no_write(
    store: RedisStore, pair: tuple[Node, Node]
) -> None:
    master, copy = pair
    await store.add(numbered(1), 100)
    copy.client.replicaof("no", "one")
    master.client.replicaof("127.0.0.1", str(copy.port))
    with pytest.raises(StoreUnavailableError, match="ReadOnly"):
        await store.revoke(numbered(1).sid)


def redis_key(session: Session) -> str:
    return f"authgw:{{{session.sid[:22]}}}:s:{session.sid}"
