"""Every kind of store that the contract suite runs against."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest

from authgw.core.ports import Store
from authgw.storage.redis.commands import Servers
from authgw.storage.redis.connect import connect
from authgw.storage.redis.replies import Request, is_ok
from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite.store import EmbeddedStore
from tests.support.fake_redis_server import fake_redis_server
from tests.support.redis_sets import Node, Nodes

_FLUSH = Request(("FLUSHDB",), is_ok)
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
    async with fake_redis_server() if kind == "fakeredis" else nullcontext(0) as port:
        servers = servers_of(kind, request, database, port)
        for server in await servers.masters():
            await server.execute([_FLUSH], asyncio.get_running_loop().time() + 5)
        kept = RedisStore(servers, idle=60, session_max=60)
        # As beside a replica of the previous version, and as without any.
        kept.compact = kind != "fakeredis"
        yield kept
        await kept.close()


def servers_of(
    kind: str, request: pytest.FixtureRequest, database: int = 0, port: int = 0
) -> Servers:
    """Return the servers of a kind; `port` is that of a fakeredis."""
    if kind == "fakeredis":
        return connect(f"redis://127.0.0.1:{port}/0")
    if kind == "redis":
        return connect(request.getfixturevalue("redis_url").removesuffix("0") + str(database))
    if kind == "tls":
        node: Node = request.getfixturevalue("tls")
        return connect(f"rediss://127.0.0.1:{node.port}/0", ca_file=node.authority)
    nodes: Nodes = request.getfixturevalue({"sentinel": "sentinels", "cluster": "shards"}[kind])
    return connect(nodes.url)
