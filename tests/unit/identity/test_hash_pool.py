"""Password verification in worker threads: bounded queue, cancellation, priority."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator

import argon2
import pytest

from authgw.core.errors import TooBusyError
from authgw.identity import hash_pool, passwords
from authgw.identity.hash_pool import HashPool, PasswordCheck

PASSWORD = "tuck-vole-brim-seventy"
HASH = passwords.hash_password(PASSWORD)
WEAK = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[HashPool]:
    # A single worker with 16 slots on every machine.
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    created = HashPool()
    yield created
    created.close()


async def test_correct_wrong_and_malformed(pool: HashPool) -> None:
    with pool.reserve():
        assert pool.in_use == 1
        assert await pool.verify(HASH, PASSWORD) == PasswordCheck(True)
        assert await pool.verify(HASH, "wrong") == PasswordCheck(False)
        assert await pool.verify("malformed", PASSWORD) == PasswordCheck(False)
    assert pool.in_use == 0


async def test_hash_with_old_parameters_is_rehashed(pool: HashPool) -> None:
    with pool.reserve():
        observed = await pool.verify(WEAK, PASSWORD)
        assert (await pool.verify(WEAK, "wrong")).new_hash is None
    assert observed.ok
    assert observed.new_hash is not None
    assert passwords.verify(observed.new_hash, PASSWORD)
    assert not passwords.needs_rehash(observed.new_hash)
    assert observed.new_hash not in repr(observed)


async def test_logins_above_capacity_are_refused(pool: HashPool) -> None:
    async def verify_once() -> PasswordCheck:
        with pool.reserve():
            return await pool.verify(HASH, PASSWORD)

    results = await asyncio.gather(*(verify_once() for _ in range(20)), return_exceptions=True)
    assert results.count(PasswordCheck(True)) == 16
    refused = [result for result in results if isinstance(result, TooBusyError)]
    assert [error.retry_after for error in refused] == [1.0] * 4
    assert pool.in_use == 0


async def test_cancelled_login_releases_its_slot(
    pool: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, resume = threading.Event(), threading.Event()
    calls = list[str]()

    def verify(_: str, password: str) -> bool:
        calls.append(password)
        started.set()
        return resume.wait(10)

    monkeypatch.setattr(passwords, "verify", verify)

    async def verify_once(password: str) -> PasswordCheck:
        with pool.reserve():
            return await pool.verify(HASH, password)

    running = asyncio.create_task(verify_once("first"))
    await asyncio.to_thread(started.wait, 10)
    queued = [asyncio.create_task(verify_once("never")) for _ in range(15)]
    await asyncio.sleep(0)
    assert pool.in_use == 16
    for task in queued:
        task.cancel()
    await asyncio.gather(*queued, return_exceptions=True)
    assert pool.in_use == 1
    resume.set()
    assert (await running).ok
    with pool.reserve():
        assert (await pool.verify(HASH, "last")).ok
    assert calls == ["first", "last"]


async def test_workers_have_lower_priority_than_event_loop(
    pool: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed = list[tuple[int, int]]()

    def verify(_: str, __: str) -> bool:
        observed.append((threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0)))
        return False

    monkeypatch.setattr(passwords, "verify", verify)
    with pool.reserve():
        await pool.verify(HASH, "x")
    thread, niceness = observed[0]
    assert thread != threading.get_native_id()
    assert niceness == os.getpriority(os.PRIO_PROCESS, 0) + 10


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
async def test_worker_works_without_permission_to_lower_priority(
    pool: HashPool, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    calls = list[int]()

    def refuse(*_: int) -> None:
        calls.append(1)
        raise PermissionError

    class Name:
        sysname = system

    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(os, "uname", Name)
    with pool.reserve():
        assert (await pool.verify(HASH, PASSWORD)).ok
    assert len(calls) == (1 if system == "Linux" else 0)


async def test_close_refuses_further_verifications(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = HashPool()
    with pool.reserve():
        await pool.verify(HASH, PASSWORD)
    pool.close()
    with pool.reserve(), pytest.raises(RuntimeError):
        await pool.verify(HASH, PASSWORD)
    assert pool.in_use == 0
    assert hash_pool.PasswordCheck(True).new_hash is None


@pytest.mark.parametrize(("processors", "capacity"), [(None, 16), (1, 16), (4, 32), (64, 128)])
def test_capacity_grows_with_processors_up_to_limit(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, capacity: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    pool = HashPool()
    with contextlib.ExitStack() as slots:
        for _ in range(capacity):
            slots.enter_context(pool.reserve())
        with pytest.raises(TooBusyError):
            slots.enter_context(pool.reserve())
    pool.close()
