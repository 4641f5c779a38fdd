"""Redis or the connection to it fails: responses, duration and remaining effects."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from redis import Redis

from tests.faults.kept import sessions_kept
from tests.faults.stack import STALENESS, Stack
from tests.faults.watch import (
    RECOVERY,
    check_always,
    check_recovery,
    check_through,
    wait_past_bound,
    watching,
)
from tests.support.counts import count
from tests.support.faultproxy import (
    BLACK_HOLE,
    LOST_REPLIES,
    NONE,
    REFUSED,
    RESET,
    Fault,
    cut_replies,
    cut_requests,
    refusing,
    slow,
)
from tests.support.processes import ask, free_port

# With each of these faults, no reply of Redis arrives.
NO_REPLY = [
    BLACK_HOLE,
    LOST_REPLIES,
    REFUSED,
    RESET,
    cut_requests(10),
    cut_replies(1),
    slow(0.3),
    refusing("LOADING Redis is loading the dataset in memory"),
    refusing("NOAUTH Authentication required."),
    refusing("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    refusing("ERR max number of clients reached"),
]


@pytest.mark.parametrize("fault", NO_REPLY, ids=lambda fault: fault.name.replace(" ", "-"))
def test_redis_does_not_respond(stack: Stack, fault: Fault) -> None:
    with sessions_kept(stack), watching(stack) as watch:
        began = time.monotonic()
        stack.disturb(fault)
        ended = wait_past_bound(watch, began)
        stack.disturb(NONE)
        check_recovery(watch, ended)
        check_through(watch, began, ended)


@pytest.mark.sample
def test_redis_is_killed_and_started_again(stack: Stack) -> None:
    with sessions_kept(stack), watching(stack) as watch:
        began = time.monotonic()
        stack.redis.kill()
        ended = wait_past_bound(watch, began)
        stack.redis.start()
        check_through(watch, began, ended)
        check_recovery(watch, time.monotonic())


def test_redis_hangs(stack: Stack) -> None:
    with sessions_kept(stack), watching(stack) as watch:
        began = time.monotonic()
        stack.redis.freeze()
        ended = max(wait_past_bound(watch, began), _later(began + count(2, 5)))
        stack.redis.thaw()
        check_recovery(watch, ended)
        check_through(watch, began, ended)


def _later(moment: float) -> float:
    time.sleep(max(0.0, moment - time.monotonic()))
    return time.monotonic()


_BUSY = """
local function now() local time = redis.call('TIME'); return time[1] + time[2] / 1000000 end
local ends = now() + 3
while now() < ends do end
"""


@pytest.mark.parametrize("command", [("CLIENT", "PAUSE", "3000"), ("EVAL", _BUSY, "0")])
def test_redis_is_busy_with_something_else(stack: Stack, command: tuple[str, ...]) -> None:
    with sessions_kept(stack), watching(stack) as watch:
        began = time.monotonic()
        with stack.redis.client() as client:
            client.execute_command(*command)
        # EVAL replies at its end, PAUSE immediately. Each 503 takes the deadlines of two replicas.
        ended = _later(began + 3)
        check_recovery(watch, ended)
        check_through(watch, began, ended - 0.05)


def test_a_slightly_slow_redis_is_waited_for(stack: Stack) -> None:
    with sessions_kept(stack), watching(stack) as watch:
        began = time.monotonic()
        stack.disturb(slow(0.02))
        watch.until("live", 200, began + STALENESS)
        stack.disturb(NONE)
        check_always(watch)
        assert stack.refresh(stack.log_in(1)["refresh"]).status == 200


def test_redis_loses_all_data(stack: Stack) -> None:
    with watching(stack) as watch:
        with stack.redis.client() as client:
            client.flushall()
        lost = time.monotonic()
        assert watch.until("live", 401, lost) - lost < STALENESS + 0.2
        # Sessions that had ended stay ended, and a new login is accepted.
        assert watch.statuses("ended") == {401}
        assert stack.get("/page", stack.log_in(1)["access"]).status == 200
        assert watch.statuses("public") == watch.statuses("readyz") == {200}


@contextmanager
def _full(stack: Stack) -> Iterator[None]:
    with stack.redis.client() as client:
        client.set("ballast", "x" * 4_000_000)
        client.config_set("maxmemory", "3mb")
        yield
        client.config_set("maxmemory", "0")
        client.delete("ballast")


@contextmanager
def _unsaved(stack: Stack) -> Iterator[None]:
    # A directory has the name of the file that the server wants to save.
    obstacle = stack.redis.folder / "dump.rdb"
    with suppress(FileNotFoundError):
        obstacle.unlink()
    obstacle.mkdir()
    with stack.redis.client() as client:
        client.config_set("save", "3600 1")
        _save(client, "err")
        yield
        obstacle.rmdir()
        _save(client, "ok")
        client.config_set("save", "")


def _save(client: "Redis", outcome: str) -> None:
    client.bgsave()
    until = time.monotonic() + 10
    while client.info("persistence")["rdb_last_bgsave_status"] != outcome:
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def _read_only(stack: Stack) -> Iterator[None]:
    with stack.redis.client() as client:
        client.replicaof("127.0.0.1", str(free_port()))
        yield
        client.replicaof("NO", "ONE")


@pytest.mark.parametrize(("fault", "log_out"), [(_full, 200), (_unsaved, 503)])
def test_checks_succeed_while_redis_cannot_write(stack: Stack, fault: Any, log_out: int) -> None:
    pair, other = stack.log_in(31), stack.log_in(32)
    assert stack.get("/page", pair["access"]).status == 200
    with sessions_kept(stack), watching(stack) as watch:
        with fault(stack):
            began = time.monotonic()
            watch.until("live", 200, began + STALENESS)
            assert {stack.refresh(pair["refresh"]).status, _log_in_status(stack)} == {503}
            assert stack.log_out(other["access"]).status == log_out
            assert stack.get("/readyz", port=stack.gateways[0].port).status == 200
        check_always(watch)
        assert watch.statuses("live") == {200}
        assert stack.refresh(pair["refresh"]).status == 200


def _log_in_status(stack: Stack) -> int:
    gateway = stack.gateways[0]
    return ask(gateway.port, "POST", "/login", gateway.basic, {"user_id": 1}).status


def test_a_redis_that_became_a_replica_is_unavailable(stack: Stack) -> None:
    with sessions_kept(stack), watching(stack) as watch:
        with _read_only(stack):
            assert watch.until("live", 503, time.monotonic())
            assert _log_in_status(stack) == 503
        check_recovery(watch, time.monotonic())
        check_always(watch)


def test_a_storm_of_new_connections(stack: Stack) -> None:
    with sessions_kept(stack), watching(stack) as watch:
        with stack.redis.client() as client:
            for _ in range(30):
                client.execute_command("CLIENT", "KILL", "TYPE", "normal")
                time.sleep(0.03)
        check_recovery(watch, time.monotonic())
        check_always(watch)


def test_an_isolated_replica_accepts_no_session_beyond_the_bound(stack: Stack) -> None:
    access = stack.log_in(41)["access"]
    assert [stack.check(replica, access).status for replica in (0, 1)] == [200, 200]
    with stack.ways[1].disturbed(BLACK_HOLE):
        assert stack.log_out(access).status == 200
        ended = time.monotonic()
        assert stack.check(0, access).status == 401
        sent = ended
        while sent < ended + STALENESS + 0.3:
            sent = time.monotonic()
            status = stack.check(1, access).status
            assert status == 503 if sent > ended + STALENESS else status in (200, 503)
    until = time.monotonic() + RECOVERY
    while stack.check(1, access).status != 401:
        assert time.monotonic() < until
