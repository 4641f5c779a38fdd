"""Fills the caches of a replica, so that its memory can grow by a leak only."""

import asyncio
import random
from contextlib import suppress

from tests.faults.line import HttpLine, bearer, pair_of, request
from tests.faults.model import SoakModel
from tests.faults.people import SoakUser
from tests.faults.stack import STALENESS, Stack

# Remembered tokens, decoded sessions and cached callers: about 70,000 tokens fill them all. The
# sessions are as those of the soak, with ids of the same length: entries of another size would not
# take the place of these, so that memory would grow until all of them are replaced.
_USERS = [2000 + number % 7000 for number in range(35_000)]
_REFRESHES = (0, 1, 2, 4)  # of a session
_CHECKS = 2  # of each token: the response to the second check is cached
_LINES = 16
_PAGE = {
    "X-Original-URL": "http://localhost/",
    "X-Original-Host": "localhost",
    "X-Original-Method": "GET",
}
_AGEING = 150.0  # seconds
_AGEING_USERS = range(9000, 9040)
_AGEING_PAUSE = 0.01  # seconds between two requests of a client, on average


async def fill_caches(stack: Stack) -> None:
    """Open, refresh and check more sessions on the first replica than it keeps.

    Then all requests of the soak follow, faster, so that sessions of all kinds and ages are kept.
    """
    lines = [HttpLine(stack.gateways[0].port) for _ in range(_LINES)]
    await asyncio.gather(
        *(_use(stack, line, _USERS[number::_LINES]) for number, line in enumerate(lines))
    )
    model = SoakModel(STALENESS)
    people = [SoakUser(user, stack, model) for user in _AGEING_USERS]
    with suppress(TimeoutError):
        async with asyncio.timeout(_AGEING):
            await asyncio.gather(*(person.live(_AGEING_PAUSE) for person in people))
    assert not model.wrong, model.wrong[:20]


async def _use(stack: Stack, line: HttpLine, users: list[int]) -> None:
    for user in users:
        opened = await line.ask(
            request("POST", "/login", stack.gateways[0].basic, {"user_id": user})
        )
        pair = pair_of(opened)
        await _check(line, pair["access"])
        for _ in range(random.choice(_REFRESHES)):
            refresh = request("POST", "/refresh", {}, {"refresh": pair["refresh"]})
            pair = pair_of(await line.ask(refresh))
            await _check(line, pair["access"])
    line.hang_up()


async def _check(line: HttpLine, access: str) -> None:
    check = request("GET", "/authenticate", _PAGE | bearer(access))
    statuses = {(await line.ask(check)).status for _ in range(_CHECKS)}
    assert statuses == {200}
