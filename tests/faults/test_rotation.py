"""A single lineage of tokens, no revived session, no crossed responses, whatever fails."""

import asyncio
import json
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest

from tests.faults.line import HttpLine, LineResponse, bearer, pair_of, request
from tests.faults.model import claims
from tests.faults.stack import STALENESS, Stack
from tests.faults.watch import RECOVERY
from tests.support.counts import SOAK, count
from tests.support.faultproxy import BLACK_HOLE, LOST_REPLIES, NONE, Fault, cut_replies, slow

RACES = count(300, 100_000)
CHECKS = count(10_000, 1_000_000)
LOG_OUTS = count(60, 1000)
WORKERS = 20
LINES = 50
_LONG = 3600 if SOAK else 120
CHECK = {
    "X-Original-URL": "http://localhost/",
    "X-Original-Host": "localhost",
    "X-Original-Method": "GET",
}


@pytest.mark.parametrize("fault", [LOST_REPLIES, cut_replies(2)], ids=["swallowed", "cut"])
def test_a_refresh_with_a_lost_reply_can_be_repeated(stack: Stack, fault: Fault) -> None:
    for number in range(count(3, 100)):
        first = stack.log_in(51)
        with stack.ways[0].disturbed(fault):
            lost = stack.refresh(first["refresh"], 0)
            assert (lost.status, lost.headers["Retry-After"]) == (503, "1")
        # The client uses any replica, and in the second round it returns much later.
        again = stack.refresh(first["refresh"], 1)
        assert again.status == 200, number
        second = again.json()
        assert claims(second["refresh"])["gen"] == 1
        assert claims(stack.refresh(first["refresh"], 1).json()["refresh"]) == claims(
            second["refresh"]
        )
        for pair in (first, second):
            assert stack.check(1, pair["access"]).status == 200


def test_a_logout_with_a_lost_reply_has_taken_effect(stack: Stack) -> None:
    for _ in range(count(3, 100)):
        pair = stack.log_in(52)
        with stack.ways[0].disturbed(LOST_REPLIES):
            assert stack.log_out(pair["access"], 0).status == 503
        assert stack.log_out(pair["access"], 1).status == 200
        until = time.monotonic() + STALENESS
        while time.monotonic() < until:
            if {stack.check(replica, pair["access"]).status for replica in (0, 1)} == {401}:
                break
        assert stack.refresh(pair["refresh"], 1).status == 401


def test_a_logout_everywhere_that_arrives_late_ends_newer_sessions_too(stack: Stack) -> None:
    for _ in range(count(2, 20)):
        first = stack.log_in(54)
        with stack.ways[0].disturbed(BLACK_HOLE):
            assert stack.log_out(first["access"], 0, everywhere=True).status == 503
            assert stack.log_out(first["access"], 1, everywhere=True).status == 200
            newer = stack.gateways[1].login(54)
            assert stack.check(1, newer["access"]).status == 200
        # The command of the first request reaches Redis now.
        until = time.monotonic() + STALENESS + RECOVERY
        while stack.check(1, newer["access"]).status != 401:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert stack.refresh(newer["refresh"], 1).status == 401
        stack.wait_until_ready()


@pytest.mark.timeout(_LONG)
async def test_logouts_during_refreshes_leave_no_active_session(stack: Stack) -> None:
    async with lines(stack, 3) as (here, there, third):
        issued: list[dict[str, str]] = []
        for _ in range(LOG_OUTS):
            pair = await log_in(stack, here, 53)
            wanted = request("POST", "/refresh", body={"refresh": pair["refresh"]})
            calls = [
                here.ask(wanted),
                there.ask(request("POST", "/logout", bearer(pair["access"]))),
                third.ask(wanted),
            ]
            random.shuffle(calls)
            answers = await asyncio.gather(*calls)
            assert {answer.status for answer in answers} <= {200, 401, 503}
            made = [pair_of(one) for one in answers if one.status == 200 and one.body]
            if any(answer.status == 503 for answer in answers):
                # Too busy: the logout is repeated until it is acknowledged.
                await until_ended(there, pair["access"])
            issued += [pair, *made]
        await asyncio.sleep(STALENESS)
        for pair in issued:
            for line in (here, there):
                assert await status(line, check(pair["access"])) == 401
                body = {"refresh": pair["refresh"]}
                assert await status(line, request("POST", "/refresh", body=body)) == 401


@pytest.mark.timeout(_LONG)
async def test_races_while_scripts_are_flushed_have_one_winner(stack: Stack) -> None:
    """Three clients present the same refresh token at once; sometimes a client disconnects."""
    began, left = time.monotonic(), [RACES]
    with flushing(stack):
        tallies = await asyncio.gather(
            *(_race_on(stack, 2000 + one, left) for one in range(WORKERS))
        )
    summary = {"races": sum(tallies), "seconds": round(time.monotonic() - began, 1)}
    print(f"\nraces {json.dumps({**summary, 'double_winners': 0})}")


async def _race_on(stack: Stack, user: int, left: list[int]) -> int:
    raced = 0
    async with lines(stack, 3) as three:
        pair = await log_in(stack, three[0], user)
        while left[0] > 0:
            left[0] -= 1
            raced += 1
            wanted = request("POST", "/refresh", body={"refresh": pair["refresh"]})
            answers = await asyncio.gather(*(_present(line, wanted) for line in three))
            received = [answer for answer in answers if answer is not None]
            assert {answer.status for answer in received} <= {200, 503}, received
            pairs = [pair_of(answer) for answer in received if answer.status == 200]
            winners = {claims(one["refresh"])["jti"] for one in pairs}
            assert len(winners) <= 1, f"user {user}: {pairs}"
            if len(received) < len(three):
                # An abandoned request may be decided much later, and is then reuse of an old token.
                pair = await log_in(stack, three[0], user)
            elif pairs:
                pair = random.choice(pairs)
            assert claims(pair["refresh"])["sub"] == str(user)
        assert await status(three[1], check(pair["access"])) == 200
    return raced


async def _present(line: HttpLine, wanted: bytes) -> LineResponse | None:
    """Return the response, or None for a client that disconnected before it arrived."""
    if random.random() > 0.05:
        return await line.ask(wanted)
    with suppress(TimeoutError):
        async with asyncio.timeout(random.uniform(0, 0.02)):
            return await line.ask(wanted)
    return None


@pytest.mark.timeout(_LONG)
@pytest.mark.parametrize("fault", [NONE, slow(0.02)], ids=["as it is", "late"])
async def test_responses_never_cross_while_clients_disconnect(stack: Stack, fault: Fault) -> None:
    """Every response has the identity of its own request."""
    began, left, tallies = time.monotonic(), [CHECKS // 2], [0, 0]
    async with lines(stack, 1) as (line,):
        people = {user: (await log_in(stack, line, user))["access"] for user in range(3001, 3101)}
    stack.disturb(fault)
    try:
        tasks = [_check_on(stack, number, people, left, tallies) for number in range(LINES)]
        await asyncio.gather(*tasks)
    finally:
        stack.disturb(NONE)
    summary = {
        "checks": tallies[0],
        "aborted": tallies[1],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(f"\nchecks {json.dumps({**summary, 'fault': fault.name, 'crossings': 0})}")
    assert tallies[0] > CHECKS / 4


async def _check_on(
    stack: Stack, number: int, people: dict[int, str], left: list[int], tallies: list[int]
) -> None:
    line = HttpLine(stack.gateways[number % 2].port)
    questions = {user: check(access) for user, access in people.items()}
    while left[0] > 0:
        left[0] -= 1
        user = random.choice(list(people))
        if random.random() < 0.05:
            # An unknown session is read, a mirrored session needs no read; a refresh writes.
            await _leave(line, questions[user])
            tallies[1] += 1
            continue
        answer = await line.ask(questions[user])
        if answer.status != 503:
            assert (answer.status, answer.headers["remote-user"]) == (200, str(user))
            tallies[0] += 1
    line.hang_up()


async def _leave(line: HttpLine, wanted: bytes) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(random.uniform(0, 0.005)):
            await line.ask(wanted)
    line.hang_up()


async def test_far_more_requests_than_connections(stack: Stack) -> None:
    """Each request has a timely response, none is lost, and everything works afterwards."""
    async with lines(stack, 200) as many:
        pairs = await asyncio.gather(
            *(_until_200(line, log_in_request(stack, 60)) for line in many[:10])
        )
        body = {"refresh": pair_of(pairs[0])["refresh"]}
        wanted = request("POST", "/refresh", body=body)
        answers = [
            answer
            for _ in range(10)
            for answer in await asyncio.gather(*(line.ask(wanted) for line in many))
        ]
        assert {answer.status for answer in answers} <= {200, 503}
        winners = {
            claims(pair_of(answer)["refresh"])["jti"] for answer in answers if answer.status == 200
        }
        assert len(winners) == 1
        assert max(answer.ended - answer.sent for answer in answers) < 5
        # A link for commands, the subscriber, and each once more while it is replaced.
        assert max(way.connections for way in stack.ways) <= 4
        await _until_200(many[0], log_in_request(stack, 60))


async def test_requests_do_not_accumulate_while_redis_hangs(stack: Stack) -> None:
    async with lines(stack, 200) as many:
        access = [(await log_in(stack, many[0], user))["access"] for user in range(61, 66)]
        before = [descriptors(stack, replica) for replica in (0, 1)]
        stack.redis.freeze()
        try:
            await asyncio.sleep(STALENESS)
            for _ in range(3):
                wanted = [line.ask(check(random.choice(access))) for line in many]
                answers = await asyncio.gather(*wanted)
                assert {answer.status for answer in answers} == {503}
                assert max(answer.ended - answer.sent for answer in answers) < RECOVERY
        finally:
            stack.redis.thaw()
        await asyncio.gather(*(_until_200(line, check(access[0])) for line in many))
        # The size of a connection pool, and those of the 200 requests.
        after = [descriptors(stack, replica) for replica in (0, 1)]
        assert all(b <= a + 64 + 100 for a, b in zip(before, after, strict=True))


def descriptors(stack: Stack, replica: int) -> int:
    process = stack.gateways[replica].process
    assert process is not None
    return len(os.listdir(f"/proc/{process.pid}/fd"))


@asynccontextmanager
async def lines(stack: Stack, number: int) -> AsyncIterator[list[HttpLine]]:
    """Connections to the replicas in turn."""
    made = [HttpLine(stack.gateways[place % 2].port) for place in range(number)]
    try:
        yield made
    finally:
        for line in made:
            line.hang_up()


def log_in_request(stack: Stack, user: int) -> bytes:
    return request("POST", "/login", stack.gateways[0].basic, {"user_id": user})


async def log_in(stack: Stack, line: HttpLine, user: int) -> dict[str, str]:
    return pair_of(await _until_200(line, log_in_request(stack, user)))


def check(access: str) -> bytes:
    return request("GET", "/authenticate", {**bearer(access), **CHECK})


async def status(line: HttpLine, wanted: bytes) -> int:
    """Return the status from a machine that is not too busy."""
    return (await _until(line, wanted, lambda answer: answer.status != 503)).status


async def until_ended(line: HttpLine, access: str) -> None:
    await _until_200(line, request("POST", "/logout", bearer(access)))


async def _until_200(line: HttpLine, wanted: bytes) -> LineResponse:
    return await _until(line, wanted, lambda answer: answer.status == 200)


async def _until(
    line: HttpLine, wanted: bytes, is_it: Callable[[LineResponse], bool]
) -> LineResponse:
    until = time.monotonic() + 10
    while True:
        answer = await line.ask(wanted)
        if is_it(answer):
            return answer
        assert answer.status == 503, answer
        assert time.monotonic() < until, answer


@contextmanager
def flushing(stack: Stack) -> Iterator[None]:
    """Flush the scripts of Redis repeatedly."""
    over = threading.Event()

    def flush() -> None:
        with stack.redis.client() as client:
            while not over.wait(0.002):
                client.script_flush()

    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)
