"""The stores that the contract suite runs against."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from authgw.core.ports import Store
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore
from tests.support.stores import KINDS, opened


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, request, tmp_path) as store:
        yield store


@pytest.fixture
async def real(redis_url: str) -> AsyncIterator[RedisStore]:
    """An empty real Redis and a store on it."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
    store = RedisStore(connect(redis_url), idle=60, session_max=600)
    yield store
    await store.close()
