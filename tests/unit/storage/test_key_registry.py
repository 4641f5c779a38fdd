"""Replicas on a Redis share keys, also when a replica adopts new keys."""

import time
from collections.abc import Iterator

import pytest
from loguru import logger

from authgw.core.errors import KeysNotSharedError, StoreUnavailableError
from authgw.core.keys import Key, KeyRing, SigningKeyError
from authgw.storage import StoreSetupError
from authgw.storage.redis.key_registry import RedisKeyRegistry


class Registry:
    """A store that records the announcements of a replica."""

    def __init__(self) -> None:
        self.clash: str | None = ""
        self.compact = True
        self.refused = ""
        self.announced: list[tuple[str, tuple[str, ...], bool]] = []
        self.withdrawn: list[tuple[str, tuple[str, ...]]] = []

    async def check(self) -> None:
        if self.refused:
            raise StoreSetupError(self.refused)

    async def announce(
        self, replica: str, signing: str, kids: tuple[str, ...], *, new: bool = False
    ) -> tuple[bool, str]:
        if self.clash is None:
            raise StoreUnavailableError("away")
        registered = bool(self.announced) and not new
        if registered or not self.clash:
            self.announced.append((signing, kids, new))
        return registered or not self.clash, self.clash

    async def withdraw(self, replica: str, signing: str, kids: tuple[str, ...]) -> None:
        self.withdrawn.append((signing, kids))


def ring(**signs_from: float) -> KeyRing:
    secret = b"k" * 32
    return KeyRing(
        tuple(Key(kid, "HS256", secret, secret, at) for kid, at in signs_from.items()), 3600
    )


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), format="{message}")
    yield lines
    logger.remove(sink)


def member(registry: Registry) -> RedisKeyRegistry:
    return RedisKeyRegistry(registry, ring(a1=0))


async def test_next_key_is_announced_five_minutes_before_it_signs(
    registry: Registry, log: list[str]
) -> None:
    membership, now = member(registry), time.time()
    await membership.announce()
    await membership.adopt(ring(a1=0, b2=now + 600))
    await membership.announce()
    await membership.adopt(ring(a1=0, b2=now + 299))
    registry.clash = "a1"
    await membership.announce()
    both = ("a1", "b2")
    assert registry.announced == [
        ("a1", ("a1",), False),
        ("a1", both, True),
        ("a1", both, False),
        ("b2", both, False),
    ]
    membership.check()
    assert "kid b2; the others on this Redis use a1" in log[0]
    assert "Requests are still served." in log[0]


async def test_keys_that_other_replicas_lack_are_refused(registry: Registry) -> None:
    membership = member(registry)
    await membership.announce()
    registry.clash = "a1"
    with pytest.raises(
        SigningKeyError, match="would sign with kid b2; the others on this Redis use a1"
    ):
        await membership.adopt(ring(a1=0, b2=1))
    await membership.announce()
    assert registry.announced[-1] == ("a1", ("a1",), False)


async def test_unchanged_keys_are_adopted_without_an_announcement(registry: Registry) -> None:
    membership = member(registry)
    await membership.announce()
    registry.clash = "b2"
    await membership.adopt(ring(a1=0))
    assert len(registry.announced) == 1


async def test_shared_keys_make_an_unready_replica_ready(registry: Registry) -> None:
    membership = member(registry)
    registry.clash = "b2"
    await membership.announce()
    with pytest.raises(KeysNotSharedError, match=r"Share the keys directory\. Not ready\."):
        membership.check()
    registry.clash = ""
    await membership.adopt(ring(a1=0, b2=1))
    membership.check()
    assert membership.refusal == ""


async def test_new_keys_are_adopted_without_redis_and_announced_later(registry: Registry) -> None:
    membership = member(registry)
    await membership.announce()
    registry.clash = None
    await membership.adopt(ring(b2=1))
    registry.clash = ""
    await membership.announce()
    assert registry.announced[-1] == ("b2", ("b2",), False)
    await membership.leave()
    assert registry.withdrawn == [("b2", ("b2",))]


async def test_a_store_unreachable_at_start_is_checked_once_reachable(
    registry: Registry, log: list[str]
) -> None:
    replica = member(registry)
    registry.refused = "Redis may evict sessions"
    for _ in range(2):
        await replica.announce()
        assert replica.refusal == "Redis may evict sessions. Not ready."
    with pytest.raises(KeysNotSharedError):
        replica.check()
    assert not replica.has_conflict
    assert log == ["Redis may evict sessions. Not ready.\n"]
    registry.refused = ""
    await replica.announce()
    assert replica.refusal == ""
    registry.refused = "not checked again"
    await replica.announce()
    assert replica.refusal == ""


async def test_a_replica_of_the_previous_version_is_logged_until_it_has_left(
    registry: Registry, log: list[str]
) -> None:
    replica = member(registry)
    for compact in (True, False, False, True, True):
        registry.compact = compact
        await replica.announce()
    assert log == [
        "Previous records and tokens: a replica of the previous version runs on this Redis.\n",
        "Compact records and tokens: all replicas on this Redis read them.\n",
    ]
