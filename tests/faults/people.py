"""Clients that log in, request pages, refresh and log out at random, and check every response."""

import asyncio
import json
import math
import random
from collections.abc import Awaitable, Callable

from tests.faults.line import HttpLine, LineResponse, bearer, pair_of, request
from tests.faults.model import ModelSession, SoakModel
from tests.faults.stack import Stack
from tests.faults.watch import LONGEST_FAULT, RECOVERY

_MAX_SESSIONS = 4
_RETRY_INTERVAL = 0.2  # seconds
_MAX_REMEMBERED = 6  # ended sessions that are used again
_PUBLIC = request("GET", "/public/page")


class SoakUser:
    """A subject with several sessions, which sends sequential requests through NGINX."""

    def __init__(self, user: int, stack: Stack, model: SoakModel) -> None:
        self._user = user
        self._basic = stack.gateways[0].basic
        self._line = HttpLine(stack.port)
        self._other = HttpLine(stack.port)
        # Requests of backends do not go through NGINX.
        self._backend = HttpLine(stack.gateways[0].port)
        self._model = model
        self._alive: list[ModelSession] = []
        self._over: list[ModelSession] = []
        self._late_end_until = -math.inf  # a logout everywhere without success may still arrive

    async def live(self, pause: float) -> None:
        """Perform a random action about every `pause` seconds until cancelled."""
        try:
            while True:
                await asyncio.sleep(random.uniform(0, 2 * pause))
                await self._something()()
        finally:
            for line in (self._line, self._other, self._backend):
                line.hang_up()

    def _something(self) -> Callable[[], Awaitable[None]]:
        if not self._alive:
            return self._log_in
        deeds = {
            self._check: 80,
            self._check_ended: 12,
            self._check_public: 4,
            self._refresh: 6,
            self._refresh_twice: 3,
            self._refresh_ended: 2,
            self._log_out: 3,
            self._log_out_everywhere: 0.5,
            self._revoke: 0.5,
            self._log_in: 4 if len(self._alive) < _MAX_SESSIONS else 0,
        }
        return random.choices(list(deeds), list(deeds.values()))[0]

    async def _log_in(self) -> None:
        answer = await self._ask("POST", "/login", self._basic, {"user_id": self._user})
        if self._model.judge_login(answer):
            pair = pair_of(answer)
            session = ModelSession(self._user, pair["sid"], pair["access"], pair["refresh"])
            if answer.sent < self._late_end_until:
                session.asked_to_end = answer.sent
            self._alive.append(session)

    async def _check(self) -> None:
        await self._check_one(random.choice(self._alive))

    async def _check_ended(self) -> None:
        if self._over:
            await self._check_one(random.choice(self._over))

    async def _check_one(self, session: ModelSession) -> None:
        answer = await self._ask("GET", "/page", bearer(session.access))
        self._model.judge_check(session, answer, _user_in(answer))

    async def _check_public(self) -> None:
        self._model.judge_public(await self._line.ask(_PUBLIC))

    async def _refresh(self) -> None:
        session = random.choice(self._alive)
        self._take(session, await self._ask("POST", "/refresh", {}, {"refresh": session.refresh}))

    async def _refresh_twice(self) -> None:
        session = random.choice(self._alive)
        wanted = request("POST", "/refresh", {}, {"refresh": session.refresh})
        for answer in await asyncio.gather(self._line.ask(wanted), self._other.ask(wanted)):
            self._take(session, answer)

    async def _refresh_ended(self) -> None:
        if self._over:
            session = random.choice(self._over)
            body = {"refresh": session.refresh}
            self._take(session, await self._ask("POST", "/refresh", {}, body))

    async def _log_out(self) -> None:
        session = random.choice(self._alive)
        wanted = request("POST", "/logout", bearer(session.access))
        await self._end([session], self._line, wanted)

    async def _log_out_everywhere(self) -> None:
        shown = bearer(random.choice(self._alive).access)
        wanted = request("POST", "/logout", shown, {"all": True})
        await self._end(self._alive, self._line, wanted, everywhere=True)

    async def _revoke(self) -> None:
        wanted = request("POST", "/revoke", self._basic, {"user_id": self._user})
        await self._end(self._alive, self._backend, wanted)

    async def _end(
        self,
        sessions: list[ModelSession],
        line: HttpLine,
        wanted: bytes,
        *,
        everywhere: bool = False,
    ) -> None:
        self._alive = [session for session in self._alive if session not in sessions]
        self._over = [*self._over, *sessions][-_MAX_REMEMBERED:]
        while True:
            answer = await line.ask(wanted)
            if self._model.judge_end(sessions, answer):
                return
            if everywhere:
                # Its command ends all sessions that exist when Redis reads it, after the fault.
                self._late_end_until = answer.ended + LONGEST_FAULT + RECOVERY
            await asyncio.sleep(_RETRY_INTERVAL)

    def _take(self, session: ModelSession, answer: LineResponse) -> None:
        pair = pair_of(answer) if answer.status == 200 else None
        self._model.judge_refresh(session, answer, pair)
        if pair is not None:
            session.access, session.refresh = pair["access"], pair["refresh"]

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], body: object = None
    ) -> LineResponse:
        return await self._line.ask(request(method, path, headers, body))


def _user_in(answer: LineResponse) -> str:
    """Return the user that the echoing app behind the gateway received."""
    if answer.status != 200:
        return ""
    received = {name.lower(): value for name, value in json.loads(answer.body)["headers"]}
    return str(received.get("remote-user", ""))
