"""Log users in by password and second factor, and limit the guessing of both."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from loguru import logger

from authgw.core.budget import AddressBudget
from authgw.core.counters import Counters
from authgw.core.errors import (
    LoginFailedError,
    PasswordsOffError,
    StoreUnavailableError,
    TooManyFailuresError,
    TotpRequiredError,
    UsersFileUnwritableError,
)
from authgw.core.limits import (
    MAX_DELAYED_REFUSALS,
    MAX_UNDELAYED_REFUSALS,
    MEAN_REFUSAL_DELAY,
    PER_STRANGER,
)
from authgw.core.tokens import Issuer
from authgw.core.typed_text import comparison_key
from authgw.core.users import PASSWORD, TOTP, User
from authgw.identity import totp, users_editor
from authgw.identity.hash_pool import HashPool
from authgw.identity.hash_pool import PasswordCheck as Hashed
from authgw.identity.login_throttle import LoginAttempt, LoginThrottle
from authgw.identity.user_entry import mark
from authgw.identity.users_file import UsersFileError
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.services.login_tickets import LoginTickets
from authgw.services.results import VerifiedLogin

Policy = Literal["off", "optional", "required"]
_STEP_LIFETIME = 120.0  # seconds; a step is valid for 90, so no code is accepted twice


class LoginService:
    """Verifies users of the users file; `policy` is `login.totp`, `device_lifetime` is in seconds.

    Without `passwords` it only adds second factors to the logins of other methods.

    With `rehash`, a login replaces a hash with outdated parameters in the file. `tickets` carry
    a login to the next request. `budget` limits the attempts that reach the store.
    """

    def __init__(
        self,
        users: WatchedUsersFile,
        hashing: HashPool,
        counters: Counters,
        issuer: Issuer,
        *,
        policy: Policy,
        passwords: bool = True,
        device_lifetime: float,
        clock: Callable[[], float],
        rehash: bool = True,
        budget: AddressBudget | None = None,
    ) -> None:
        self._users = users
        self._hashing = hashing
        self._counters = counters
        self._regulation = LoginThrottle(counters)
        self._policy = policy
        self._passwords = passwords
        self._clock = clock
        self._rehash_enabled = rehash
        self._delayed = 0
        self._budget = budget or AddressBudget(PER_STRANGER, time.monotonic)
        self.tickets = LoginTickets(users, issuer, device_lifetime=device_lifetime, clock=clock)

    def requires_second_factor(self, user: User) -> bool:
        """Return True if a login of this user requires a second factor."""
        return self._policy == "required" or (self._policy == "optional" and user.has_totp)

    async def by_password(
        self, name: str, password: str, *, address: str, device: str
    ) -> VerifiedLogin:
        """Verify a name and password; `device` is the id of a known device, or empty.

        An unknown user, a wrong password and a disabled user get the same response after the same
        time.

        Raises:
            PasswordsOffError: `login.passwords` is false.
            TooBusyError: too many passwords are being verified.
            TooManyFailuresError: the login is locked for some time.
            LoginFailedError: the name or the password is wrong, or the user is disabled.
            StoreUnavailableError: the attempt could not be counted.
        """
        if not self._passwords:
            raise PasswordsOffError
        name = self._users.name_of(name)
        try:
            stored_hash, check, attempt = await self._verify(name, password, address, device)
        except TooManyFailuresError as error:
            await self._delay_refusal()
            error.sub = self._loggable(name)
            raise
        user = self._users.find(name)
        if not check.ok or stored_hash is None or user is None or user.disabled:
            # After the verification, so that no cause takes another way through it.
            raise LoginFailedError(sub=self._loggable(name), cause=_cause(user))
        await self._regulation.record_success(attempt)
        if not device:
            self._budget.give_back(address)
        if check.new_hash is not None:
            await self._rehash(name, stored_hash, check.new_hash)
        return VerifiedLogin(user, mark(stored_hash), (PASSWORD,), auth_time=self._clock())

    async def _verify(
        self, name: str, password: str, address: str, device: str
    ) -> tuple[str | None, Hashed, LoginAttempt]:
        if not device and not self._budget.admit(address):
            raise TooManyFailuresError(self._budget.retry_after(address), cause="throttled_address")
        # Reserve before counting: a refused attempt must not cost a round trip to the store.
        with self._hashing.reserve():
            # By comparison_key: a different spelling of the name must not allow a further attempt.
            attempt = await self._regulation.admit(comparison_key(name), address, device)
            stored_hash = self._users.password_hash(name) if self._is_enabled(name) else None
            check = await self._hashing.verify(
                stored_hash or self._users.decoy(name), password, rehash=self._rehash_enabled
            )
            return stored_hash, check, attempt

    async def _delay_refusal(self) -> None:
        """Delay the refusals of a flood: immediate retries would fill the event loop."""
        if self._delayed >= MAX_DELAYED_REFUSALS:
            return
        self._delayed += 1
        try:
            # Random, since clients that were refused together would retry together.
            delay = random.uniform(0.5, 1.5) * MEAN_REFUSAL_DELAY  # noqa: S311  not a secret
            await asyncio.sleep(delay if self._delayed > MAX_UNDELAYED_REFUSALS else 0.0)
        finally:
            self._delayed -= 1

    async def by_code(self, verified: VerifiedLogin, code: str, *, device: str) -> VerifiedLogin:
        """Add a second factor to a login: an unused current code, or a recovery code.

        The other proofs of the login keep their time.

        Raises:
            LoginFailedError: the code is wrong or was used before.
            TooManyFailuresError: codes of this user are locked for some time.
            TotpRequiredError: the user has not set up a second factor.
            StoreUnavailableError: an earlier use of the code cannot be ruled out.
            UsersFileUnwritableError: a recovery code cannot be deleted from the users file.
        """
        sub = verified.user.sub
        secret = self._users.totp_secret(sub)
        if secret is None:
            raise TotpRequiredError("no second factor is set up", sub=sub, cause="totp_not_set_up")
        try:
            attempt = await self._regulation.admit_code(comparison_key(sub), device)
        except TooManyFailuresError as error:
            error.sub = sub
            raise
        try:
            await self._spend(sub, secret, code)
        except UsersFileUnwritableError:
            with contextlib.suppress(StoreUnavailableError):
                await self._regulation.withdraw(attempt)
            raise
        await self._regulation.record_success(attempt)
        # A session of an earlier version may have no `amr`; it began with a password.
        first = verified.amr or ((PASSWORD,) if verified.began_with_password else ())
        amr = dict.fromkeys((*first, TOTP))
        return replace(verified, amr=tuple(amr), factor_time=self._clock())

    async def in_one_step(
        self, name: str, password: str, code: str, *, address: str
    ) -> VerifiedLogin:
        """Verify the password and, if required or given, the code together, for programs.

        Raises:
            TotpRequiredError: a code is required and `code` is empty.
            The errors of `by_password` and `by_code`.
        """
        verified = await self.by_password(name, password, address=address, device="")
        if code:
            return await self.by_code(verified, code, device="")
        if self.requires_second_factor(verified.user):
            raise TotpRequiredError(sub=verified.user.sub, cause="code_missing")
        return verified

    def _loggable(self, name: str) -> str:
        """Return the name for the log, empty if unknown: it may be a misplaced password."""
        return name if self._users.find(name) else ""

    def _is_enabled(self, name: str) -> bool:
        user = self._users.find(name)
        return user is not None and not user.disabled

    async def _rehash(self, name: str, old_hash: str, new_hash: str) -> None:
        try:
            await asyncio.to_thread(users_editor.rehash, self._users.path, name, old_hash, new_hash)
        except UsersFileError as error:
            # The stored hash is still valid; further logins need not try again.
            self._rehash_enabled = False
            logger.bind(event="rehash_failed").warning(
                f"Password hashes keep their old parameters: {error}. "
                "Set auth.passwords.rehash: false to end these attempts."
            )

    async def _spend(self, sub: str, secret: str, code: str) -> None:
        now = self._clock()
        step = totp.matching_step(secret, code, now)
        if step is not None:
            if not await self._counters.claim(f"totp:{sub}:{step}", _STEP_LIFETIME):
                raise LoginFailedError(sub=sub, cause="code_reused")
            return
        digest = totp.recovery_digest(code)
        if not self._users.has_recovery(sub, digest):
            raise _wrong_code(sub, totp.code_age(secret, code, now))
        try:
            spent = await asyncio.to_thread(
                users_editor.spend_recovery, self._users.path, sub, digest
            )
        except UsersFileError as error:
            # A recovery code that stays in the file could be used again.
            raise UsersFileUnwritableError(sub=sub, note=f"a recovery code: {error}") from None
        if not spent:
            raise LoginFailedError(sub=sub, cause="code_reused")


def _cause(user: User | None) -> str:
    """Return the cause of a login by password that failed."""
    if user is None:
        return "unknown_user"
    return "disabled" if user.disabled else "password"


def _wrong_code(sub: str, age: int | None) -> LoginFailedError:
    """Return the error of a wrong code; `age` is set if it was right at another time."""
    if age is None:
        return LoginFailedError(sub=sub, cause="code")
    cause, place = ("code_late", "old") if age > 0 else ("code_early", "early")
    note = f"the code is {abs(age)} s too {place}: check the clocks of this machine and the device"
    return LoginFailedError(sub=sub, cause=cause, note=note, code_age=age)
