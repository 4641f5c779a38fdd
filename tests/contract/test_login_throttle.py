"""The login throttle on all stores, and shared by two replicas."""

import asyncio

import pytest
from redis.asyncio import Redis

from authgw.core.counters import Counters
from authgw.core.errors import TooManyFailuresError
from authgw.core.limits import PER_ADDRESS, PER_PAIR
from authgw.identity.login_throttle import LoginThrottle
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore

HOME = "192.0.2.1"


async def fails(regulation: LoginThrottle, user: str, address: str, device: str = "") -> bool:
    """Try a wrong password; return True if the attempt was admitted."""
    try:
        await regulation.admit(user, address, device)
    except TooManyFailuresError:
        return False
    return True


async def test_limits_hold_on_all_stores(store: Counters) -> None:
    regulation = LoginThrottle(store)
    tried = await asyncio.gather(*(fails(regulation, "alice", HOME) for _ in range(20)))
    assert tried.count(True) == 5
    with pytest.raises(TooManyFailuresError) as refused:
        await regulation.admit("alice", HOME)
    assert round(refused.value.retry_after, -1) == PER_PAIR.window
    assert await fails(regulation, "\ud800", HOME)
    known = await regulation.admit("alice", HOME, "phone")
    await regulation.record_success(known)
    await regulation.record_success(await regulation.admit_code("alice", "phone"))


async def test_two_replicas_share_their_limits(redis_url: str) -> None:
    stores = [RedisStore(connect(redis_url), idle=60, session_max=60) for _ in range(2)]
    client = Redis.from_url(redis_url)
    await client.flushall()
    replicas = [LoginThrottle(store) for store in stores]
    # In rounds: a thousand at once would wait for connections beyond the timeout.
    admitted = 0
    for _ in range(10):
        tried = [fails(replica, "alice", HOME) for replica in replicas for _ in range(50)]
        admitted += (await asyncio.gather(*tried)).count(True)
    assert admitted == 5
    bogus = [await fails(replicas[n % 2], f"bogus{n}", HOME) for n in range(310)]
    assert bogus.count(True) == PER_ADDRESS.max_failures - 5
    # A counter for the address, two for alice and for each other user that was admitted.
    assert await client.dbsize() == 1 + 2 + 2 * bogus.count(True)
    attempt = await replicas[0].admit("bob", "192.0.2.2")
    for _ in range(4):
        await replicas[1].admit("bob", "192.0.2.2")
    await replicas[1].record_success(attempt)
    assert await fails(replicas[0], "bob", "192.0.2.2")
    for store in stores:
        await store.close()
    await client.aclose()
