"""Each use of redis-py that its documentation does not cover; a failure names the change."""

import ssl
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError, NoPermissionError, RedisError, TimeoutError

from authgw.storage.redis import errors
from authgw.storage.redis.redis_internals import (
    SentinelClient,
    TlsConnection,
    options,
    own_error,
    sentinel_manager,
)
from tests.support.scripted_redis import ScriptedServer


def client_of(server: ScriptedServer, kind: type[Redis] = Redis) -> Redis:
    return kind.from_pool(ConnectionPool(host="127.0.0.1", port=server.port, db=1, **options()))


def state(server: ScriptedServer, **changes: Any) -> dict[str, Any]:
    """A master as a Sentinel describes it."""
    up = {"is_master": True, "is_odown": False, "is_sdown": False, "num-other-sentinels": 2}
    return {"ip": "127.0.0.1", "port": server.port, **up, **changes}


class SentinelOf(Redis):
    """A Sentinel without a connection."""

    def __init__(self, master: ScriptedServer) -> None:
        super().__init__()
        self.master = master
        self.queries = 0
        self.closed = False

    async def sentinel_masters(self) -> Any:
        self.queries += 1
        return {"main": state(self.master)}

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        self.closed = True


def test_the_version_is_limited_to_the_one_that_these_tests_are_for() -> None:
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())
    assert "redis>=8.1,<8.2" in project["project"]["dependencies"]
    said = "read authgw/storage/redis/redis_internals.py again"
    assert redis.__version__.startswith("8.1."), said


async def test_a_new_connection_requests_no_notifications(server: ScriptedServer) -> None:
    client = client_of(server)
    await client.ping()
    sent = [b" ".join(command).upper() for command in server.commands]
    assert b"SELECT 1" in sent
    assert not [each for each in sent if b"MAINT" in each], "`maint_notifications_config` is unused"
    await client.aclose()


async def test_no_command_is_repeated(server: ScriptedServer) -> None:
    def hang_up(_: list[bytes]) -> bytes:
        server.links[-1].close()
        return b""

    server.replies[b"PING"] = hang_up
    client = client_of(server)
    with pytest.raises(ConnectionError):
        await client.ping()
    assert server.count(b"PING") == 1, "redis-py sends a command again: `retry` is not what counts"
    await client.aclose()


def test_a_connection_over_tls_has_the_context_that_it_is_given() -> None:
    context = ssl.create_default_context()
    link: Any = TlsConnection(tls=context, **options())
    assert link.ssl_context.get() is context, "`ssl_context` makes a context of its own"
    assert link._connection_arguments()["ssl"] is context


@pytest.mark.parametrize("reply", [b"+OK\r\n", b":1\r\n", b"*1\r\n*2\r\n+ip\r\n+x\r\n"])
async def test_a_wrong_reply_of_a_sentinel_is_an_error_after_which_the_next_is_queried(
    server: ScriptedServer, reply: bytes
) -> None:
    server.replies[b"SENTINEL"] = reply
    with pytest.raises(ConnectionError):
        await client_of(server, SentinelClient).sentinel_masters()
    last = SentinelOf(server)
    manager = sentinel_manager([client_of(server, SentinelClient), last])
    assert await manager.discover_master("main") == ("127.0.0.1", server.port)
    assert last.queries == 1, "`sentinels` is not what `discover_master` queries"
    await manager.aclose()
    assert last.closed, "`aclose` does not close the Sentinels"


async def test_the_masters_of_a_sentinel_have_their_state(server: ScriptedServer) -> None:
    named = "name main ip 127.0.0.1 port 6379 flags master num-other-sentinels 2"
    words = named.split()
    row = b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
    server.replies[b"SENTINEL"] = b"*1\r\n%%%d\r\n%s" % (len(words) // 2, row)
    found: Any = await client_of(server, SentinelClient).sentinel_masters()
    wanted = state(server, port=6379)
    assert {name: found["main"][name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MasterNotFoundError("No master found for 'main'"), errors.MasterNotFoundError),
        (NoPermissionError("no permissions"), errors.NoPermissionError),
        (ConnectionError("refused"), errors.ConnectionError),
        (TimeoutError("late"), errors.RedisError),
    ],
)
def test_an_error_of_the_library_becomes_that_of_the_same_name(
    error: RedisError, kind: type[errors.RedisError]
) -> None:
    own = own_error(error)
    assert (type(own), str(own)) == (kind, str(error))


async def test_a_master_that_no_sentinel_names_is_an_error_of_ours(server: ScriptedServer) -> None:
    manager = sentinel_manager([SentinelOf(server)])
    with pytest.raises(errors.MasterNotFoundError, match="No master found for 'another'"):
        await manager.discover_master("another")
    await manager.aclose()
