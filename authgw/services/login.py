"""People log in: password, second factor, and what protects both from guessing."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Literal

from loguru import logger

from authgw.core.counters import Counters
from authgw.core.errors import (
    LoginFailedError,
    StoreUnavailableError,
    TooManyFailuresError,
    TotpRequiredError,
    UsersFileUnwritableError,
)
from authgw.core.tokens import Issuer
from authgw.core.typed_text import comparison_key
from authgw.core.users import PASSWORD, TOTP, User
from authgw.identity import totp, users_editor
from authgw.identity.hash_pool import HashPool
from authgw.identity.hash_pool import PasswordCheck as Hashed
from authgw.identity.login_throttle import LoginAttempt, LoginThrottle
from authgw.identity.users_file import UsersFileError, mark
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.services.login_tickets import LoginTickets
from authgw.services.results import VerifiedLogin

# Refusals at once that are no accident any more; they wait about so many seconds, and at
# most so many do.
_FLOOD = 4
_PAUSE = 1.0
_MOST_WAITING = 2000
Policy = Literal["off", "optional", "required"]
_STEP_KEPT = 120.0  # seconds; a step can be used for 90, so no code is ever taken twice


class LoginService:
    """Verifies people of the users file; `policy` is `login.totp`, `device_life` in seconds.

    `rehash` lets a log-in put a hash with the current parameters into the file. `tickets` carry
    a log-in to the next request.
    """

    def __init__(
        self,
        users: WatchedUsersFile,
        hashing: HashPool,
        counters: Counters,
        issuer: Issuer,
        *,
        policy: Policy,
        device_life: float,
        clock: Callable[[], float],
        rehash: bool = True,
    ) -> None:
        self._users = users
        self._hashing = hashing
        self._counters = counters
        self._regulation = LoginThrottle(counters)
        self._policy = policy
        self._clock = clock
        self._rehashes = rehash
        self._refusing = 0
        self.tickets = LoginTickets(users, issuer, device_life=device_life, clock=clock)

    def asks_code_of(self, person: User) -> bool:
        """Whether a log-in of this person is done only with a second factor."""
        return self._policy == "required" or (self._policy == "optional" and person.has_totp)

    async def by_password(
        self, user: str, password: str, *, address: str, device: str
    ) -> VerifiedLogin:
        """The person of this name and password; `device` is a known device's id, or empty.

        Unknown, wrong and disabled cannot be told apart, by what is said or by how long it takes.

        Raises:
            TooBusyError: too many passwords are being verified; TooManyFailuresError: wait.
            LoginFailedError: no such name and password.
            StoreUnavailableError: the attempt could not be counted.
        """
        user = self._users.name_of(user)
        try:
            known, verified, attempt = await self._verify(user, password, address, device)
        except TooManyFailuresError as error:
            await self._slow_down()
            error.sub = self._named(user)
            raise
        person = self._users.find(user)
        if not verified.ok or known is None or person is None or person.disabled:
            raise LoginFailedError(sub=self._named(user))
        await self._regulation.record_success(attempt)
        if verified.new_hash is not None:
            await self._rehash(user, known, verified.new_hash)
        return VerifiedLogin(person, mark(known), (PASSWORD,))

    async def _verify(
        self, user: str, password: str, address: str, device: str
    ) -> tuple[str | None, Hashed, LoginAttempt]:
        # A place before the count: what is turned away must cost no more than that.
        with self._hashing.reserve():
            # By likeness: another spelling must not buy another attempt.
            attempt = await self._regulation.admit(comparison_key(user), address, device)
            known = self._users.password_hash(user) if self._may(user) else None
            verified = await self._hashing.verify(
                known or self._users.decoy(user), password, rehash=self._rehashes
            )
            return known, verified, attempt

    async def _slow_down(self) -> None:
        """Let a flood wait for its refusals: one that asks again at once would fill the loop."""
        if self._refusing >= _MOST_WAITING:
            return
        self._refusing += 1
        try:
            # Spread out, or all who came at once would come back at once.
            pause = random.uniform(0.5, 1.5) * _PAUSE  # noqa: S311  no secret
            await asyncio.sleep(pause if self._refusing > _FLOOD else 0.0)
        finally:
            self._refusing -= 1

    async def by_code(self, known: VerifiedLogin, code: str, *, device: str) -> VerifiedLogin:
        """The same person with a second factor: a code of now that nobody used, or a recovery code.

        Raises:
            LoginFailedError: wrong, or used before; TooManyFailuresError: wait.
            TotpRequiredError: this person has none set up.
            StoreUnavailableError: nobody can say whether it was used.
            UsersFileUnwritableError: a recovery code that cannot be crossed out.
        """
        sub = known.person.sub
        secret = self._users.totp_secret(sub)
        if secret is None:
            raise TotpRequiredError("no second factor is set up", sub=sub)
        try:
            attempt = await self._regulation.admit_code(comparison_key(sub), device)
        except TooManyFailuresError as error:
            error.sub = sub
            raise
        try:
            right = await self._spend(sub, secret, code)
        except UsersFileUnwritableError:
            with contextlib.suppress(StoreUnavailableError):
                await self._regulation.withdraw(attempt)
            raise
        if not right:
            raise LoginFailedError(sub=sub)
        await self._regulation.record_success(attempt)
        return VerifiedLogin(known.person, known.mark, (PASSWORD, TOTP))

    async def in_one_step(
        self, user: str, password: str, code: str, *, address: str
    ) -> VerifiedLogin:
        """Password and, where it is asked for, code at once, for programs.

        Raises:
            TotpRequiredError: a code is asked for and none came; else as `by_password`, `by_code`.
        """
        known = await self.by_password(user, password, address=address, device="")
        if code:
            return await self.by_code(known, code, device="")
        if self.asks_code_of(known.person):
            raise TotpRequiredError(sub=known.person.sub)
        return known

    def _named(self, user: str) -> str:
        """The name as the log may have it: one that is nobody's may be a misplaced password."""
        return user if self._users.find(user) else ""

    def _may(self, user: str) -> bool:
        person = self._users.find(user)
        return person is not None and not person.disabled

    async def _rehash(self, user: str, known: str, new_hash: str) -> None:
        try:
            await asyncio.to_thread(users_editor.rehash, self._users.path, user, known, new_hash)
        except UsersFileError as error:
            # The hash in the file still verifies; the next log-ins need not try again.
            self._rehashes = False
            logger.warning(
                f"Password hashes keep their old parameters: {error}. "
                "auth.passwords.rehash: false ends these attempts."
            )

    async def _spend(self, sub: str, secret: str, code: str) -> bool:
        step = totp.matching_step(secret, code, self._clock())
        if step is not None:
            return await self._counters.claim(f"totp:{sub}:{step}", _STEP_KEPT)
        digest = totp.recovery_digest(code)
        if not self._users.has_recovery(sub, digest):
            return False
        try:
            return await asyncio.to_thread(
                users_editor.spend_recovery, self._users.path, sub, digest
            )
        except UsersFileError as error:
            # What cannot be crossed out could be used again.
            raise UsersFileUnwritableError(sub=sub, note=f"a recovery code: {error}") from None
