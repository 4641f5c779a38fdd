"""Every kind of store that the contract suite runs against."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import fakeredis
import pytest

from authgw.core.ports import Store
from authgw.storage.redis.commands import Servers, SingleMaster
from authgw.storage.redis.connect import connect
from authgw.storage.redis.node import RedisNode
from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite.store import EmbeddedStore
from tests.support.redis_sets import Node, Nodes

KINDS = ["fakeredis", "redis", "memory", "file", "sentinel", "cluster", "tls"]


@asynccontextmanager
async def opened(
    kind: str, request: pytest.FixtureRequest, folder: Path, database: int = 0
) -> AsyncIterator[Store]:
    if kind in ("memory", "file"):
        path = folder / "authgw.db" if kind == "file" else None
        embedded = await EmbeddedStore.open(path, idle=60)
        yield embedded
        await embedded.close()
        return
    servers = servers_of(kind, request, database)
    for server in await servers.masters():
        await server.client.flushdb()
    kept = RedisStore(servers, idle=60, session_max=60)
    # As beside a replica of the previous version, and as without any.
    kept.compact = kind != "fakeredis"
    yield kept
    await kept.close()


def servers_of(kind: str, request: pytest.FixtureRequest, database: int = 0) -> Servers:
    if kind == "fakeredis":
        return SingleMaster(RedisNode(fakeredis.FakeAsyncRedis(), "fakeredis"))
    if kind == "redis":
        return connect(request.getfixturevalue("redis_url").removesuffix("0") + str(database))
    if kind == "tls":
        node: Node = request.getfixturevalue("tls")
        return connect(f"rediss://127.0.0.1:{node.port}/0", ca_file=node.authority)
    nodes: Nodes = request.getfixturevalue({"sentinel": "sentinels", "cluster": "shards"}[kind])
    return connect(nodes.url)
