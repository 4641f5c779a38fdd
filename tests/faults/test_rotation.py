"""One lineage of tokens, no way back from a log-out and no crossed answers, whatever is broken."""

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
from tests.support.faultproxy import LOST_REPLIES, NONE, Fault, cut_replies, slow

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
def test_a_refresh_whose_reply_was_lost_is_asked_again(stack: Stack, fault: Fault) -> None:
    for number in range(count(3, 100)):
        first = stack.log_in(51)
        with stack.ways[0].disturbed(fault):
            lost = stack.refresh(first["refresh"], 0)
            assert (lost.status, lost.headers["Retry-After"]) == (503, "1")
        # The client asks whoever answers, and in the other round comes back much later.
        again = stack.refresh(first["refresh"], 1)
        assert again.status == 200, number
        second = again.json()
        assert claims(second["refresh"])["gen"] == 1
        assert claims(stack.refresh(first["refresh"], 1).json()["refresh"]) == claims(
            second["refresh"]
        )
        for pair in (first, second):
            assert stack.check(1, pair["access"]).status == 200


def test_a_log_out_whose_reply_was_lost_has_happened(stack: Stack) -> None:
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


@pytest.mark.timeout(_LONG)
async def test_log_outs_beside_refreshes_leave_nothing_alive(stack: Stack) -> None:
    async with lines(stack, 3) as (here, there, third):
        issued: list[dict[str, str]] = []
        for _ in range(LOG_OUTS):
            pair = await log_in(stack, here, 53)
            asked = request("POST", "/refresh", body={"refresh": pair["refresh"]})
            calls = [
                here.ask(asked),
                there.ask(request("POST", "/logout", bearer(pair["access"]))),
                third.ask(asked),
            ]
            random.shuffle(calls)
            answers = await asyncio.gather(*calls)
            assert {answer.status for answer in answers} <= {200, 401, 503}
            made = [pair_of(one) for one in answers if one.status == 200 and one.body]
            if any(answer.status == 503 for answer in answers):
                # Too busy: the log-out is asked for again until it is acknowledged.
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
    """Three present one refresh token at once, sometimes one of them leaves."""
    began, left = time.monotonic(), [RACES]
    with flushing(stack):
        seen = await asyncio.gather(*(_race_on(stack, 2000 + one, left) for one in range(WORKERS)))
    said = {"races": sum(seen), "seconds": round(time.monotonic() - began, 1)}
    print(f"\nraces {json.dumps({**said, 'double_winners': 0})}")


async def _race_on(stack: Stack, user: int, left: list[int]) -> int:
    raced = 0
    async with lines(stack, 3) as three:
        pair = await log_in(stack, three[0], user)
        while left[0] > 0:
            left[0] -= 1
            raced += 1
            asked = request("POST", "/refresh", body={"refresh": pair["refresh"]})
            answers = await asyncio.gather(*(_present(line, asked) for line in three))
            told = [answer for answer in answers if answer is not None]
            assert {answer.status for answer in told} <= {200, 503}, told
            pairs = [pair_of(answer) for answer in told if answer.status == 200]
            winners = {claims(one["refresh"])["jti"] for one in pairs}
            assert len(winners) <= 1, f"user {user}: {pairs}"
            if len(told) < len(three):
                # What was left behind may be decided much later, and then is an old token's reuse.
                pair = await log_in(stack, three[0], user)
            elif pairs:
                pair = random.choice(pairs)
            assert claims(pair["refresh"])["sub"] == str(user)
        assert await status(three[1], check(pair["access"])) == 200
    return raced


async def _present(line: HttpLine, asked: bytes) -> LineResponse | None:
    """The answer, or None for a client that left before it came."""
    if random.random() > 0.05:
        return await line.ask(asked)
    with suppress(TimeoutError):
        async with asyncio.timeout(random.uniform(0, 0.02)):
            return await line.ask(asked)
    return None


@pytest.mark.timeout(_LONG)
@pytest.mark.parametrize("fault", [NONE, slow(0.02)], ids=["as it is", "late"])
async def test_checks_beside_clients_that_leave_never_cross(stack: Stack, fault: Fault) -> None:
    """Everybody is told who they are, and nobody else."""
    began, left, seen = time.monotonic(), [CHECKS // 2], [0, 0]
    async with lines(stack, 1) as (line,):
        people = {user: (await log_in(stack, line, user))["access"] for user in range(3001, 3101)}
    stack.disturb(fault)
    try:
        tasks = [_check_on(stack, number, people, left, seen) for number in range(LINES)]
        await asyncio.gather(*tasks)
    finally:
        stack.disturb(NONE)
    said = {"checks": seen[0], "aborted": seen[1], "seconds": round(time.monotonic() - began, 1)}
    print(f"\nchecks {json.dumps({**said, 'fault': fault.name, 'crossings': 0})}")
    assert seen[0] > CHECKS / 4


async def _check_on(
    stack: Stack, number: int, people: dict[int, str], left: list[int], seen: list[int]
) -> None:
    line = HttpLine(stack.gateways[number % 2].port)
    questions = {user: check(access) for user, access in people.items()}
    while left[0] > 0:
        left[0] -= 1
        user = random.choice(list(people))
        if random.random() < 0.05:
            # An unknown session is read, a known one answered at once; a refresh writes.
            await _leave(line, questions[user])
            seen[1] += 1
            continue
        answer = await line.ask(questions[user])
        if answer.status != 503:
            assert (answer.status, answer.headers["remote-user"]) == (200, str(user))
            seen[0] += 1
    line.hang_up()


async def _leave(line: HttpLine, asked: bytes) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(random.uniform(0, 0.005)):
            await line.ask(asked)
    line.hang_up()


async def test_far_more_requests_than_connections(stack: Stack) -> None:
    """Each is answered in time, none is lost, and everything works afterwards."""
    async with lines(stack, 200) as many:
        pairs = await asyncio.gather(
            *(_until_200(line, log_in_request(stack, 60)) for line in many[:10])
        )
        body = {"refresh": pair_of(pairs[0])["refresh"]}
        asked = request("POST", "/refresh", body=body)
        answers = [
            answer
            for _ in range(10)
            for answer in await asyncio.gather(*(line.ask(asked) for line in many))
        ]
        assert {answer.status for answer in answers} <= {200, 503}
        winners = {
            claims(pair_of(answer)["refresh"])["jti"] for answer in answers if answer.status == 200
        }
        assert len(winners) == 1
        assert max(answer.ended - answer.sent for answer in answers) < 5
        assert max(way.connections for way in stack.ways) <= 64 + 2
        await _until_200(many[0], log_in_request(stack, 60))


async def test_nothing_piles_up_behind_a_redis_that_hangs(stack: Stack) -> None:
    async with lines(stack, 200) as many:
        access = [(await log_in(stack, many[0], user))["access"] for user in range(61, 66)]
        before = [descriptors(stack, replica) for replica in (0, 1)]
        stack.redis.freeze()
        try:
            await asyncio.sleep(STALENESS)
            for _ in range(3):
                asked = [line.ask(check(random.choice(access))) for line in many]
                answers = await asyncio.gather(*asked)
                assert {answer.status for answer in answers} == {503}
                assert max(answer.ended - answer.sent for answer in answers) < RECOVERY
        finally:
            stack.redis.thaw()
        await asyncio.gather(*(_until_200(line, check(access[0])) for line in many))
        # As many as one pool may hold, and those of the 200 that ask.
        after = [descriptors(stack, replica) for replica in (0, 1)]
        assert all(b <= a + 64 + 100 for a, b in zip(before, after, strict=True))


def descriptors(stack: Stack, replica: int) -> int:
    process = stack.gateways[replica].process
    assert process is not None
    return len(os.listdir(f"/proc/{process.pid}/fd"))


@asynccontextmanager
async def lines(stack: Stack, number: int) -> AsyncIterator[list[HttpLine]]:
    """Connections, to the one and the other replica by turns."""
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


async def status(line: HttpLine, asked: bytes) -> int:
    """What is answered by a machine that is not too busy for it."""
    return (await _until(line, asked, lambda answer: answer.status != 503)).status


async def until_ended(line: HttpLine, access: str) -> None:
    await _until_200(line, request("POST", "/logout", bearer(access)))


async def _until_200(line: HttpLine, asked: bytes) -> LineResponse:
    return await _until(line, asked, lambda answer: answer.status == 200)


async def _until(
    line: HttpLine, asked: bytes, is_it: Callable[[LineResponse], bool]
) -> LineResponse:
    until = time.monotonic() + 10
    while True:
        answer = await line.ask(asked)
        if is_it(answer):
            return answer
        assert answer.status == 503, answer
        assert time.monotonic() < until, answer


@contextmanager
def flushing(stack: Stack) -> Iterator[None]:
    """Redis forgets its scripts again and again."""
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
