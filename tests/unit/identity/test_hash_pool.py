"""Passwords verified beside the event loop: bounded, and without a place that is lost."""

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
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[HashPool]:
    # One worker, 16 places, whatever machine this is.
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    made = HashPool()
    yield made
    made.close()


async def test_right_wrong_and_malformed(work: HashPool) -> None:
    with work.reserve():
        assert work.in_use == 1
        assert await work.verify(HASH, PASSWORD) == PasswordCheck(True)
        assert await work.verify(HASH, "wrong") == PasswordCheck(False)
        assert await work.verify("malformed", PASSWORD) == PasswordCheck(False)
    assert work.in_use == 0


async def test_a_hash_of_other_parameters_is_made_anew(work: HashPool) -> None:
    with work.reserve():
        seen = await work.verify(WEAK, PASSWORD)
        assert (await work.verify(WEAK, "wrong")).new_hash is None
    assert seen.ok
    assert seen.new_hash is not None
    assert passwords.verify(seen.new_hash, PASSWORD)
    assert not passwords.needs_rehash(seen.new_hash)
    assert seen.new_hash not in repr(seen)


async def test_the_seventeenth_is_sent_away(work: HashPool) -> None:
    async def one() -> PasswordCheck:
        with work.reserve():
            return await work.verify(HASH, PASSWORD)

    answers = await asyncio.gather(*(one() for _ in range(20)), return_exceptions=True)
    assert answers.count(PasswordCheck(True)) == 16
    refused = [answer for answer in answers if isinstance(answer, TooBusyError)]
    assert [error.retry_after for error in refused] == [1.0] * 4
    assert work.in_use == 0


async def test_a_cancelled_waiter_leaves_its_place(
    work: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = threading.Event(), threading.Event()
    asked = list[str]()

    def verify(_: str, password: str) -> bool:
        asked.append(password)
        started.set()
        return go_on.wait(10)

    monkeypatch.setattr(passwords, "verify", verify)

    async def one(password: str) -> PasswordCheck:
        with work.reserve():
            return await work.verify(HASH, password)

    running = asyncio.create_task(one("first"))
    await asyncio.to_thread(started.wait, 10)
    waiting = [asyncio.create_task(one("never")) for _ in range(15)]
    await asyncio.sleep(0)
    assert work.in_use == 16
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert work.in_use == 1
    go_on.set()
    assert (await running).ok
    with work.reserve():
        assert (await work.verify(HASH, "last")).ok
    assert asked == ["first", "last"]


async def test_workers_step_back_for_the_event_loop(
    work: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[int, int]]()

    def verify(_: str, __: str) -> bool:
        seen.append((threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0)))
        return False

    monkeypatch.setattr(passwords, "verify", verify)
    with work.reserve():
        await work.verify(HASH, "x")
    thread, niceness = seen[0]
    assert thread != threading.get_native_id()
    assert niceness == os.getpriority(os.PRIO_PROCESS, 0) + 10


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
async def test_a_worker_that_cannot_step_back_works(
    work: HashPool, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    asked = list[int]()

    def refuse(*_: int) -> None:
        asked.append(1)
        raise PermissionError

    class Name:
        sysname = system

    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(os, "uname", Name)
    with work.reserve():
        assert (await work.verify(HASH, PASSWORD)).ok
    assert len(asked) == (1 if system == "Linux" else 0)


async def test_closing_ends_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    work = HashPool()
    with work.reserve():
        await work.verify(HASH, PASSWORD)
    work.close()
    with work.reserve(), pytest.raises(RuntimeError):
        await work.verify(HASH, PASSWORD)
    assert work.in_use == 0
    assert hash_pool.PasswordCheck(True).new_hash is None


@pytest.mark.parametrize(("processors", "places"), [(None, 16), (1, 16), (4, 32), (64, 128)])
def test_places_grow_with_the_processors_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, places: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    hash_pool = HashPool()
    with contextlib.ExitStack() as held:
        for _ in range(places):
            held.enter_context(hash_pool.reserve())
        with pytest.raises(TooBusyError):
            held.enter_context(hash_pool.reserve())
    hash_pool.close()
