"""Limits for wrong passwords and codes that never lock the user out.

NIST SP 800-63B section 5.2.2 requires at most 100 consecutive failed attempts on an account, and
OWASP (Authentication Cheat Sheet, *Account Lockout*) warns that a lock on the account lets any
attacker lock out any user. Therefore the source of the attempts is slowed down, not the account:
attempts from unknown devices are counted by (user, address), by address and by user, and attempts
from a device from which this user has logged in before are counted for that device only.

An attempt is counted before it is verified, or parallel guesses would exceed the limit. A refused
attempt is subtracted from the counters that it shares with other attempts: these count admitted
attempts. A window begins with its first attempt and is never extended.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from authgw.core.counters import Counters
from authgw.core.errors import StoreUnavailableError, TooManyFailuresError
from authgw.core.limits import (
    MAX_UNDER_ATTACK,
    PER_ADDRESS,
    PER_CODE,
    PER_DEVICE,
    PER_PAIR,
    PER_USER,
    ThrottleLimit,
)
from authgw.core.networks import counted_network


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """The counters of an attempt, each a name and its window in seconds.

    A success resets `own` and subtracts the attempt from the counters in `shared`.
    """

    own: tuple[str, float]
    shared: tuple[tuple[str, float], ...] = ()

    @property
    def counters(self) -> tuple[tuple[str, float], ...]:
        """Every counter of the attempt, `own` first."""
        return (self.own, *self.shared)


class LoginThrottle:
    """Counts attempts in a store that all replicas share, and refuses those above a limit."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    async def admit(self, user: str, address: str, device: str = "") -> LoginAttempt:
        """Count a password attempt and allow its verification; a failure needs no further call.

        Args:
            user: The canonical name, of an existing user or not.
            address: The client's address, or `unix`.
            device: The id of a device from which this user has logged in before, else "".

        Raises:
            TooManyFailuresError: The password must not be verified now.
            StoreUnavailableError: The counters cannot be read.
        """
        attempt = password_attempt(user, address, device)
        counts = await self._counters.increment_all(attempt.counters)
        await self._check(attempt, counts, password_limits(counts), "throttled_name")
        return attempt

    async def admit_code(self, user: str, device: str = "") -> LoginAttempt:
        """Count a code of a second factor and allow its verification, as `admit` does.

        Raises:
            TooManyFailuresError: The code must not be verified now.
            StoreUnavailableError: The counters cannot be read.
        """
        attempt = LoginAttempt(_counter("code", PER_CODE, user, device))
        counts = await self._counters.increment_all(attempt.counters)
        await self._check(attempt, counts, (PER_CODE.max_failures,), "throttled_code")
        return attempt

    async def record_success(self, attempt: LoginAttempt) -> None:
        """Reset the attempt's own counter and subtract it from its shared counters.

        Raises:
            StoreUnavailableError: The attempt may remain counted until its windows end.
        """
        await self._counters.release([attempt.own[0]], _names(attempt.shared))

    async def withdraw(self, attempt: LoginAttempt) -> None:
        """Subtract an attempt that was admitted and certainly not verified from all its counters.

        Raises:
            StoreUnavailableError: The attempt may remain counted until its windows end.
        """
        await self._counters.release([], _names(attempt.counters))

    async def _check(
        self,
        attempt: LoginAttempt,
        counts: Sequence[tuple[int, float]],
        max_counts: Sequence[int],
        cause: str,
    ) -> None:
        """Refuse an attempt above a limit; `cause` is that of its own counter."""
        retry_after = seconds_to_wait(counts, max_counts)
        if retry_after is None:
            return
        # An own counter above its limit stays: a late decrement would apply to its next window.
        is_own_exceeded = counts[0][0] > max_counts[0]
        released = attempt.shared if is_own_exceeded else attempt.counters
        if released:
            # The refusal does not depend on the store; a remaining count expires with its window.
            with suppress(StoreUnavailableError):
                await self._counters.release([], _names(released))
        raise TooManyFailuresError(
            retry_after, cause=cause if is_own_exceeded else "throttled_address"
        )


def password_attempt(user: str, address: str, device: str) -> LoginAttempt:
    """Return the counters of a password: the known device only, or pair, address and user."""
    if device:
        return LoginAttempt(_counter("device", PER_DEVICE, user, device))
    network = counted_network(address)
    return LoginAttempt(
        _counter("pair", PER_PAIR, user, network),
        (_counter("address", PER_ADDRESS, network), _counter("user", PER_USER, user)),
    )


def password_limits(counts: Sequence[tuple[int, float]]) -> tuple[int, ...]:
    """Return the limit of each counter of `password_attempt`, given all their counts.

    The counter of a user only lowers the limit of the pairs with unknown devices; it refuses no
    attempt itself.
    """
    if len(counts) == 1:
        return (PER_DEVICE.max_failures,)
    _, _, (of_user, _) = counts
    pair = MAX_UNDER_ATTACK if of_user > PER_USER.max_failures else PER_PAIR.max_failures
    return (pair, PER_ADDRESS.max_failures)


def seconds_to_wait(counts: Sequence[tuple[int, float]], max_counts: Sequence[int]) -> float | None:
    """Return for how many seconds an attempt is refused, None if it is admitted.

    Args:
        counts: Each counter's count and the seconds until its window ends.
        max_counts: The limits of the first of these counters.
    """
    limited = zip(counts, max_counts, strict=False)
    return max(
        (seconds_left for (count, seconds_left), limit in limited if count > limit), default=None
    )


def _counter(kind: str, limit: ThrottleLimit, *parts: str) -> tuple[str, float]:
    # JSON distinguishes ("a", "bc") from ("ab", "c") and can contain any text.
    return json.dumps([kind, *parts]), limit.window


def _names(counters: Sequence[tuple[str, float]]) -> list[str]:
    return [name for name, _ in counters]
