"""The stores that the contract suite runs against."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite.store import EmbeddedStore
from tests.support.stores import KINDS, opened


@pytest.fixture(params=KINDS)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[RedisStore | EmbeddedStore]:
    async with opened(request.param, request, tmp_path) as store:
        yield store
