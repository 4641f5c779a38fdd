"""Fills the caches of a replica, so that its memory can grow by a leak only."""

import asyncio

from tests.faults.line import HttpLine, bearer, pair_of, request
from tests.faults.stack import Stack

# Remembered tokens, decoded sessions and cached callers: about 95,000 logins fill them all.
_USERS = range(1_000_000, 1_110_000)
_LINES = 16
_CHECKS = 3  # of each session: the response to the second check is cached
_PAGE = {
    "X-Original-URL": "http://localhost/",
    "X-Original-Host": "localhost",
    "X-Original-Method": "GET",
}


async def fill_caches(stack: Stack) -> None:
    """Open, refresh and check more sessions on the first replica than it keeps.

    A refreshed session takes more memory than a new session.
    """
    lines = [HttpLine(stack.gateways[0].port) for _ in range(_LINES)]
    await asyncio.gather(
        *(_use(stack, line, _USERS[number::_LINES]) for number, line in enumerate(lines))
    )


async def _use(stack: Stack, line: HttpLine, users: range) -> None:
    for user in users:
        opened = await line.ask(
            request("POST", "/login", stack.gateways[0].basic, {"user_id": user})
        )
        refreshed = await line.ask(
            request("POST", "/refresh", {}, {"refresh": pair_of(opened)["refresh"]})
        )
        check = request("GET", "/authenticate", _PAGE | bearer(pair_of(refreshed)["access"]))
        statuses = {(await line.ask(check)).status for _ in range(_CHECKS)}
        assert statuses == {200}
    line.hang_up()
