"""The real server and the stores that one contract suite runs against."""

import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import fakeredis
import pytest

from authgw.storage.redis.commands import OneServer, Servers
from authgw.storage.redis.connect import connect
from authgw.storage.redis.node import Server
from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite.store import EmbeddedStore
from tests.support.redis_sets import Node, Nodes, cluster, sentinel_set, tls_server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("redis-server is missing: apt-get install redis-server")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        wait_for_redis(port, folder)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with sentinel_set(tmp_path_factory.mktemp("sentinels")) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with tls_server(tmp_path_factory.mktemp("tls")) as node:
        yield node


KINDS = ["fakeredis", "redis", "memory", "file", "sentinel", "cluster", "tls"]


@pytest.fixture(params=KINDS)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[RedisStore | EmbeddedStore]:
    async with opened(request.param, request, tmp_path) as kept:
        yield kept


@asynccontextmanager
async def opened(
    kind: str, request: pytest.FixtureRequest, folder: Path, database: int = 0
) -> AsyncIterator[RedisStore | EmbeddedStore]:
    if kind in ("memory", "file"):
        path = folder / "authgw.db" if kind == "file" else None
        embedded = await EmbeddedStore.open(path, idle=60)
        yield embedded
        await embedded.close()
        return
    servers = servers_of(kind, request, database)
    for server in await servers.all():
        await server.client.flushdb()
    kept = RedisStore(servers, idle=60, session_max=60)
    yield kept
    await kept.close()


def servers_of(kind: str, request: pytest.FixtureRequest, database: int = 0) -> Servers:
    if kind == "fakeredis":
        return OneServer(Server(fakeredis.FakeAsyncRedis(), "fakeredis"))
    if kind == "redis":
        return connect(request.getfixturevalue("redis_url").removesuffix("0") + str(database))
    if kind == "tls":
        node: Node = request.getfixturevalue("tls")
        return connect(f"rediss://127.0.0.1:{node.port}/0", ca_file=node.authority)
    nodes: Nodes = request.getfixturevalue({"sentinel": "sentinels", "cluster": "shards"}[kind])
    return connect(nodes.url)


def wait_for_redis(port: int, folder: Path) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    pytest.fail(f"redis-server did not listen on port {port}; its folder was {folder}")
