"""The contract of all stores for records and sets."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from authgw.config.schema import AuthSettings
from authgw.core import limits
from authgw.core.errors import StoreUnavailableError
from authgw.core.records import Records, record_hash
from authgw.storage.redis import records as redis_records
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite import records as sqlite_records
from authgw.storage.sqlite.store import EmbeddedStore
from tests.support import memory_records
from tests.support.builders import NOW
from tests.support.memory_records import MemoryRecords
from tests.support.stores import KINDS, opened


@pytest.fixture(params=[*KINDS, "double"])
async def records(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Records]:
    if request.param == "double":
        yield MemoryRecords(time.monotonic)
        return
    async with opened(request.param, request, tmp_path) as store:
        yield store


@pytest.fixture
def small_sets(monkeypatch: pytest.MonkeyPatch) -> int:
    """Limit sets to 5 members."""
    for module in (redis_records, sqlite_records, memory_records):
        monkeypatch.setattr(module, "MAX_RECORD_MEMBERS", 5)
    return 5


TEXTS = ["", "text", "\u00e4\u20ac\U0001f600", "a\r\nb\0c", "1", "x" * 20_000]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_record_is_read_as_it_was_written(records: Records, text: str) -> None:
    await records.put("a", text, 60)
    assert await records.get("a") == text
    assert await records.get("a") == text
    assert await records.take("a") == text
    assert await records.get("a") is None


async def test_a_record_that_does_not_exist_is_none(records: Records) -> None:
    assert await records.get("a") is None
    assert await records.take("a") is None
    assert await records.members("a") == ()


async def test_a_record_replaces_an_earlier_record_and_its_expiry(records: Records) -> None:
    await records.put("a", "1", 0.2)
    await records.put("a", "2", 60)
    await asyncio.sleep(0.25)
    assert await records.get("a") == "2"
    await records.put("a", "3", 0.2)
    await asyncio.sleep(0.25)
    assert await records.get("a") is None


async def test_a_record_expires(records: Records) -> None:
    await records.put("a", "1", 0.2)
    await records.put("b", "2", 0.2)
    await asyncio.sleep(0.25)
    assert await records.get("a") is None
    assert await records.take("b") is None


async def test_of_a_hundred_concurrent_takes_a_single_call_gets_the_text(
    records: Records,
) -> None:
    await records.put("a", "1", 60)
    taken = await asyncio.gather(*(records.take("a") for _ in range(100)))
    assert Counter(taken) == {"1": 1, None: 99}


async def test_names_are_separate_whatever_they_contain(records: Records) -> None:
    names = ["a", "a\r\n", "a*", "{a}", "\u00e4", "", "a" * 1000]
    for name in names:
        await records.put(name, name, 60)
    assert [await records.get(name) for name in names] == names


async def test_a_record_and_a_set_of_the_same_name_are_separate(records: Records) -> None:
    await records.put("a", "1", 60)
    await records.add_member("a", "2", 60)
    assert await records.get("a") == "1"
    assert await records.members("a") == ("2",)
    assert await records.take("a") == "1"
    assert await records.members("a") == ("2",)


async def test_members_are_listed_in_the_order_in_which_they_were_added(records: Records) -> None:
    # Not in the order of the texts.
    added = ["c", "a", "", "b", "\u00e4\r\n"]
    for member in added:
        await records.add_member("s", member, 60)
    assert await records.members("s") == tuple(added)
    await records.add_member("s", "a", 60)
    assert await records.members("s") == ("c", "", "b", "\u00e4\r\n", "a")


async def test_a_full_set_drops_its_oldest_member(records: Records, small_sets: int) -> None:
    for number in range(small_sets + 3):
        await records.add_member("s", str(number), 60)
    await records.add_member("s", "3", 60)
    assert await records.members("s") == ("4", "5", "6", "7", "3")
    await records.add_member("t", "0", 60)
    assert await records.members("t") == ("0",)


async def test_a_set_expires_no_earlier_than_any_member_demands(records: Records) -> None:
    await records.add_member("s", "long", 60)
    await records.add_member("s", "short", 0.2)
    await records.add_member("t", "short", 0.2)
    await records.add_member("t", "long", 60)
    await records.add_member("u", "short", 0.2)
    await asyncio.sleep(0.25)
    assert await records.members("s") == ("long", "short")
    assert await records.members("t") == ("short", "long")
    assert await records.members("u") == ()
    await records.add_member("u", "new", 60)
    assert await records.members("u") == ("new",)


async def test_a_hundred_concurrent_members_are_all_added(records: Records) -> None:
    await asyncio.gather(*(records.add_member("s", str(n), 60) for n in range(100)))
    assert sorted(map(int, await records.members("s"))) == list(range(100))


def test_names_have_the_whole_sha_256() -> None:
    # The first test vector of FIPS 180-4: "abc".
    assert record_hash("abc") == "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"


async def test_the_keys_of_redis_contain_no_name(real: RedisStore, redis_url: str) -> None:
    await real.put("who:alice", "1", 60)
    await real.add_member("who:alice", "2", 60)
    async with Redis.from_url(redis_url) as client:
        keys = {*await client.keys("*")}
        expected = (f"authgw:{kind}:{record_hash('who:alice')}" for kind in ("r", "m"))
        assert keys == {key.encode() for key in expected}
        assert all([0 < await client.pttl(key) <= 60_000 for key in keys])


async def test_members_stay_in_order_when_the_clock_runs_back(
    real: RedisStore, redis_url: str
) -> None:
    async with Redis.from_url(redis_url) as client:
        future = (time.time() + 3600) * 1e6
        await client.zadd(f"authgw:m:{record_hash('s')}", {"future": future})
    for member in ("b", "a"):
        await real.add_member("s", member, 60)
    assert await real.members("s") == ("future", "b", "a")


async def test_records_need_no_command_besides_those_of_sessions(
    real: RedisStore, redis_url: str
) -> None:
    # As docs/how-to/redis-failover.md lists them, with those of a connection.
    allowed = (
        "get set del zadd zrange zrem zcard pttl pexpire time evalsha eval hello ping info role"
    )
    async with Redis.from_url(redis_url) as client:
        await client.acl_setuser(
            "limited",
            enabled=True,
            nopass=True,
            reset=True,
            keys="authgw:*",
            commands=[f"+{word}" for word in allowed.split()],
        )
        store = RedisStore(
            connect(redis_url.replace("redis://", "redis://limited:any@")), idle=60, session_max=60
        )
        await store.put("a", "1", 60)
        assert await store.get("a") == "1"
        assert await store.take("a") == "1"
        await store.add_member("a", "2", 60)
        assert await store.members("a") == ("2",)
        await store.close()
        await client.acl_deluser("limited")


@pytest.fixture
async def timed(now: list[float]) -> AsyncIterator[EmbeddedStore]:
    """A store whose clock is `now`."""
    store = await EmbeddedStore.open(None, idle=60, clock=lambda: now[0])
    yield store
    await store.close()


@pytest.fixture
def now() -> list[float]:
    return [NOW]


async def test_an_sqlite_store_has_room_for_a_limited_number_of_records(
    timed: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_records, "_CHECK_INTERVAL", 10)
    monkeypatch.setattr(sqlite_records, "MAX_RECORDS", 30)
    for number in range(100):
        await timed.put(f"r{number}", "x", 1000 - number)
        await timed.add_member(f"s{number}", "x", 1000 - number)
    kept = [n for n in range(100) if await timed.get(f"r{n}") is not None]
    assert 10 <= len(kept) <= 30
    # Those that would expire last.
    assert kept[:10] == list(range(10))
    sets = [n for n in range(100) if await timed.members(f"s{n}")]
    assert 10 <= len(sets) <= 30


async def test_expired_records_are_deleted_from_an_sqlite_store(
    timed: EmbeddedStore, now: list[float]
) -> None:
    await timed.put("a", "x", 10)
    await timed.add_member("a", "x", 10)
    now[0] += 10
    assert await timed.get("a") is None
    assert await timed.members("a") == ()
    await timed.put("b", "x", 10)
    assert await timed._db.column("SELECT count(*) FROM records") == [1]
    assert await timed._db.column("SELECT count(*) FROM record_members") == [0]
    now[0] += 10
    assert await timed.take("b") is None


@pytest.mark.parametrize("value", [b"x", b"\xff"])
async def test_a_row_of_another_type_is_unavailable(timed: EmbeddedStore, value: bytes) -> None:
    await timed.put("a", "x", 10)
    await timed.add_member("a", "x", 10)
    await timed._db.rows("UPDATE records SET text = ?", value)
    await timed._db.rows("UPDATE record_members SET member = ?", value)
    for call in (timed.get("a"), timed.members("a"), timed.take("a")):
        with pytest.raises(StoreUnavailableError):
            await call


async def test_an_end_of_another_type_is_unavailable(timed: EmbeddedStore) -> None:
    await timed.put("a", "x", 10)
    await timed.add_member("a", "x", 10)
    await timed._db.rows("UPDATE records SET ends = 'soon'")
    await timed._db.rows("UPDATE record_members SET ends = 'soon'")
    with pytest.raises(StoreUnavailableError):
        await timed.take("a")
    with pytest.raises(StoreUnavailableError):
        await timed.add_member("a", "y", 10)


async def test_a_store_that_is_down_raises(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "authgw.db", idle=60)
    await store.close()
    double = MemoryRecords()
    double.down = True
    for records in (store, double):
        for call in (
            records.put("a", "1", 60),
            records.get("a"),
            records.take("a"),
            records.add_member("a", "1", 60),
            records.members("a"),
        ):
            with pytest.raises(StoreUnavailableError):
                await call


async def test_the_previous_version_can_use_the_database_of_this_version(tmp_path: Path) -> None:
    # It has no table of records, and refuses only a higher version of the schema.
    path = tmp_path / "authgw.db"
    store = await EmbeddedStore.open(path, idle=60)
    await store.put("a", "1", 60)
    (version,) = await store._db.column("PRAGMA user_version")
    assert version == 1
    await store.close()


def test_a_set_holds_all_sessions_that_a_user_may_have_by_default() -> None:
    assert AuthSettings().max_sessions < limits.MAX_RECORD_MEMBERS
