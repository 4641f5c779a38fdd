"""`authgw store copy`: active sessions stay active, and ended sessions stay ended."""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from authgw.core.ports import Store
from authgw.storage.kinds import StoreLocation
from authgw.storage.registry import kind_of
from tests.support.processes import (
    GatewayProcess,
    HttpResponse,
    ask,
    authgw,
    authgw_here,
    free_port,
    make_gateway,
    prepare,
)

pytestmark = pytest.mark.alone

EMBEDDED = "embedded:///var/authgw.db"


@pytest.fixture
def other_redis(redis_url: str) -> str:
    """Return an empty database of the server that the other tests use too."""
    url = redis_url.removesuffix("0") + "5"
    Redis.from_url(url).flushdb()
    return url


def copy(folder: Path, source: str, target: str, *more: str) -> str:
    done = authgw(folder, "store", "copy", source, target, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(folder: Path, *words: str, **environ: str) -> str:
    done = authgw_here(folder, "store", "copy", *words, **environ)
    assert done.exit_code in (1, 2), done.output
    assert isinstance(done.exception, SystemExit)
    return done.stderr


def check(gateway: GatewayProcess, pair: dict[str, str]) -> int:
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    return ask(gateway.port, "GET", "/authenticate", bearer).status


def refresh(gateway: GatewayProcess, pair: dict[str, str]) -> HttpResponse:
    return ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})


def idle_ends(folder: Path) -> dict[str, float]:
    with sqlite3.connect(folder / "var" / "authgw.db") as database:
        return dict(database.execute("SELECT sid, idle_end FROM sessions").fetchall())


def moved(gateway: GatewayProcess, url: str) -> GatewayProcess:
    """Start the same gateway, with the same keys, on another store."""
    return GatewayProcess(gateway.folder, free_port(), {"AUTHGW_CACHE__URL": url})


def forget_replicas(url: str) -> None:
    """Remove the replicas' registrations, as if they had been stopped for half a minute."""
    Redis.from_url(url).delete("authgw:replicas")


def test_from_the_file_to_redis_and_back(gateway: GatewayProcess, other_redis: str) -> None:
    pairs = [gateway.login(1), gateway.login(2**53 + 1), gateway.login(1, groups=["a"])]
    rotated = refresh(gateway, pairs[0]).json()
    ended = gateway.login(3)
    bearer = {"Authorization": f"Bearer {ended['access']}"}
    assert ask(gateway.port, "POST", "/logout", bearer).status == 200
    assert "is in use by process" in refused(gateway.folder, EMBEDDED, other_redis)
    gateway.stop()
    before = idle_ends(gateway.folder)

    assert "Copied 3 sessions." in copy(gateway.folder, EMBEDDED, other_redis)
    client = Redis.from_url(other_redis)
    for sid, end in before.items():
        left = client.pttl(f"authgw:{{{sid[:22]}}}:s:{sid}")
        assert isinstance(left, int)
        assert time.time() + left / 1000 == pytest.approx(end, abs=1)
    assert idle_ends(gateway.folder) == before

    on_redis = moved(gateway, other_redis)
    on_redis.start()
    on_redis.wait_until_ready()
    assert [check(on_redis, pair) for pair in (rotated, *pairs, ended)] == [200, 200, 200, 200, 401]
    again = refresh(on_redis, rotated)
    assert again.status == 200
    # Also in the copy, a parent token whose successor was used is reuse.
    assert refresh(on_redis, pairs[0]).json()["code"] == "refresh_reused"
    assert refresh(on_redis, pairs[1]).status == 200
    assert "use this Redis" in refused(gateway.folder, other_redis, "embedded:///var/back.db")
    on_redis.stop()
    forget_replicas(other_redis)

    if os.geteuid() == 0:
        os.chown(gateway.folder / "var", 4711, 4712)
    assert "Copied 2 sessions." in copy(gateway.folder, other_redis, "embedded:///var/back.db")
    owners = {path.stat().st_uid for path in (gateway.folder / "var").glob("back.db*")}
    assert owners == {(gateway.folder / "var").stat().st_uid}
    back = moved(gateway, "embedded:///var/back.db")
    back.start()
    assert [check(back, pair) for pair in (again.json(), pairs[1], pairs[2])] == [401, 200, 200]
    back.stop()


def test_an_interrupted_copy_is_resumed(gateway: GatewayProcess, other_redis: str) -> None:
    pairs = [gateway.login(number) for number in range(1, 4)]
    gateway.stop()
    copy(gateway.folder, EMBEDDED, other_redis)
    client = Redis.from_url(other_redis)
    sid = pairs[1]["sid"]
    client.delete(f"authgw:{{{sid[:22]}}}:s:{sid}", f"authgw:{{{sid[:22]}}}:i")
    assert "TO contains sessions" in refused(gateway.folder, EMBEDDED, other_redis)
    assert "Copied 1 session, 2 existed already." in copy(
        gateway.folder, EMBEDDED, other_redis, "--resume"
    )
    on_redis = moved(gateway, other_redis)
    on_redis.start()
    on_redis.wait_until_ready()
    assert [check(on_redis, pair) for pair in pairs] == [200, 200, 200]
    on_redis.stop()
    forget_replicas(other_redis)


def test_from_one_redis_to_another(tmp_path: Path, redis_url: str, other_redis: str) -> None:
    first = redis_url.removesuffix("0") + "6"
    Redis.from_url(first).flushdb()
    gateway = make_gateway(tmp_path / "redis", AUTHGW_CACHE__URL=first)
    prepare(gateway.folder, "key", "init")
    gateway.start()
    gateway.wait_until_ready()
    pairs = [gateway.login(1) for _ in range(3)]
    gateway.stop()
    forget_replicas(first)
    assert "Copied 3 sessions." in copy(gateway.folder, first, other_redis)
    index = f"authgw:{{{pairs[0]['sid'][:22]}}}:i"
    there: list[Any] = [
        Redis.from_url(url).zrange(index, 0, -1, withscores=True) for url in (first, other_redis)
    ]
    assert there[0] == there[1]
    assert [sid.decode() for sid, _ in there[1]] == [pair["sid"] for pair in pairs]


async def _write_records(folder: Path, url: str) -> None:
    async with _store(folder, url) as store:
        await store.put("gone", "1800000000.0", 600)
        for sid in ("b", "a"):
            await store.add_member("who", sid, 600)


async def _records(folder: Path, url: str) -> tuple[str | None, tuple[str, ...]]:
    async with _store(folder, url) as store:
        return await store.get("gone"), await store.members("who")


@asynccontextmanager
async def _store(folder: Path, url: str) -> AsyncIterator[Store]:
    store = await kind_of(url).open(StoreLocation(url, folder, idle=60, session_max=600))
    yield store
    await store.close()


def test_records_of_identity_providers_are_copied_in_both_directions(
    gateway: GatewayProcess, other_redis: str
) -> None:
    gateway.login(1)
    gateway.stop()
    asyncio.run(_write_records(gateway.folder, EMBEDDED))
    expected = ("1800000000.0", ("b", "a"))
    assert "Copied 1 session, and 2 records." in copy(gateway.folder, EMBEDDED, other_redis)
    assert asyncio.run(_records(gateway.folder, other_redis)) == expected
    left = [Redis.from_url(other_redis).pttl(key) for key in _record_keys(other_redis)]
    assert len(left) == 2
    assert all(isinstance(ms, int) and 500_000 < ms <= 600_000 for ms in left)
    back = "embedded:///var/back.db"
    done = json.loads(copy(gateway.folder, other_redis, back, "--json"))
    assert done == {"copied": 1, "existing": 0, "records": 2}
    assert asyncio.run(_records(gateway.folder, back)) == expected


def _record_keys(url: str) -> list[bytes]:
    return list(Redis.from_url(url).scan_iter("authgw:[rm]:*"))


def test_refused_copies(tmp_path: Path, other_redis: str) -> None:
    assert "does not exist" in refused(tmp_path, EMBEDDED, other_redis)
    assert not (tmp_path / "var").exists()
    assert "the same store" in refused(tmp_path, other_redis, other_redis)
    assert "mysql: is not the URL of a store" in refused(
        tmp_path, "mysql://u:hush@h/0", other_redis
    )
    assert "hush" not in refused(tmp_path, "mysql://u:hush@h/0", other_redis)
    assert "is lost when this command ends" in refused(tmp_path, "embedded://memory", other_redis)
    away = refused(tmp_path, "redis://127.0.0.1:1/0", other_redis)
    assert "interrupted after 0 sessions (Redis: " in away
    assert "run the command again with --resume" in away
