"""Regulation: how many wrong passwords and codes are heard, without ever locking a person out.

NIST SP 800-63B section 5.2.2 asks for at most 100 failed attempts in a row on one account, and
OWASP (Authentication Cheat Sheet, *Account Lockout*) warns that a lock on the account alone lets
anybody lock anybody out. So whoever guesses is slowed, not the account: strangers are counted
by (user, address), by address and by user, and a device from which this user logged in before
is counted by itself alone.

An attempt is counted before it is verified, or parallel guesses would slip through. What is
refused is given back to the counters that it shares with others: they hold admitted attempts.
A window begins with its first attempt and is never extended.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

from authgw.core.counters import Counters
from authgw.core.errors import StoreUnavailableError, TooManyFailuresError


@dataclass(frozen=True, slots=True)
class ThrottleLimit:
    """At most `most` failures in a window of `window` seconds."""

    most: int
    window: float


# Five slips of the hand, then a pause that nobody waits out by guessing.
PER_PAIR = ThrottleLimit(5, 300.0)
# An office behind one address: its forgetful people together, not one of them.
PER_ADDRESS = ThrottleLimit(300, 900.0)
# NIST's hundred. More than these from unknown devices is an attack on this user, ...
PER_USER = ThrottleLimit(100, 3600.0)
# ... and then every stranger's address has one try in a window of PER_PAIR, never none.
MOST_UNDER_ATTACK = 1
# Nobody but the holder of the device's cookie is counted here, or can fill it.
PER_DEVICE = ThrottleLimit(10, 300.0)
# Who gets here knows the password. Ten of a million codes, each window.
PER_CODE = ThrottleLimit(10, 900.0)

_SITE_BITS = 64


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """One attempt that was counted: `own` is forgotten by success, `shared` given back.

    Both hold names of counters with their windows in seconds.
    """

    own: tuple[str, float]
    shared: tuple[tuple[str, float], ...] = ()

    @property
    def counted(self) -> tuple[tuple[str, float], ...]:
        """Every counter of it, its own first."""
        return (self.own, *self.shared)


class LoginThrottle:
    """Counts attempts in a store that all replicas share."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    async def admit(self, user: str, address: str, device: str = "") -> LoginAttempt:
        """Count one password and let it be verified; a failure needs no other call.

        `user` is the canonical name, known or not; `device` identifies a device from which
        this very user logged in before, "" is an unknown one.

        Raises:
            TooManyFailuresError: it must not be verified now.
            StoreUnavailableError: nobody can say.
        """
        attempt = password_attempt(user, address, device)
        counts = await self._counters.increment_all(attempt.counted)
        await self._check(attempt, counts, password_limits(counts))
        return attempt

    async def admit_code(self, user: str, device: str = "") -> LoginAttempt:
        """Count one code of a second factor and let it be verified, as `admit` does.

        Raises:
            TooManyFailuresError: it must not be verified now.
            StoreUnavailableError: nobody can say.
        """
        attempt = LoginAttempt(_counter("code", PER_CODE, user, device))
        counts = await self._counters.increment_all(attempt.counted)
        await self._check(attempt, counts, (PER_CODE.most,))
        return attempt

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """Forget the failures of whoever this was, and give back what others share.

        Raises:
            StoreUnavailableError: the attempt may still be counted, until its windows end.
        """
        await self._counters.release([attempt.own[0]], _names(attempt.shared))

    async def withdrawn(self, attempt: LoginAttempt) -> None:
        """Give back an attempt that was admitted and then certainly not verified.

        Raises:
            StoreUnavailableError: the attempt may still be counted, until its windows end.
        """
        await self._counters.release([], _names(attempt.counted))

    async def _check(
        self, attempt: LoginAttempt, counts: Sequence[tuple[int, float]], most: Sequence[int]
    ) -> None:
        wait = seconds_to_wait(counts, most)
        if wait is None:
            return
        # An own counter that is over stays so: given back late, it would open the next window.
        over = counts[0][0] > most[0]
        back = attempt.shared if over else attempt.counted
        if back:
            # It is refused whatever the store says; what stays counted ends with its window.
            with suppress(StoreUnavailableError):
                await self._counters.release([], _names(back))
        raise TooManyFailuresError(wait)


def password_attempt(user: str, address: str, device: str) -> LoginAttempt:
    """What one password is counted by: the known device alone, or pair, address and user."""
    if device:
        return LoginAttempt(_counter("device", PER_DEVICE, user, device))
    site = site_of(address)
    return LoginAttempt(
        _counter("pair", PER_PAIR, user, site),
        (_counter("address", PER_ADDRESS, site), _counter("user", PER_USER, user)),
    )


def password_limits(counts: Sequence[tuple[int, float]]) -> tuple[int, ...]:
    """How far each counter of `password_attempt` may go, given where they all are.

    A user under attack costs strangers tries at their own address; that counter refuses nobody.
    """
    if len(counts) == 1:
        return (PER_DEVICE.most,)
    _, _, (of_user, _) = counts
    pair = MOST_UNDER_ATTACK if of_user > PER_USER.most else PER_PAIR.most
    return (pair, PER_ADDRESS.most)


def seconds_to_wait(counts: Sequence[tuple[int, float]], most: Sequence[int]) -> float | None:
    """Until when an attempt is refused, or None: `counts` are (count, seconds to its end)."""
    limited = zip(counts, most, strict=False)
    return max((left for (count, left), limit in limited if count > limit), default=None)


def site_of(address: str) -> str:
    """Whose address it is: an IPv6 /64 is one site (RFC 6177), a mapped IPv4 is that IPv4.

    `unix` and what cannot be read stand for themselves.
    """
    try:
        read = ip_address(address)
    except ValueError:
        return address
    if not isinstance(read, IPv6Address):
        return str(read)
    if read.ipv4_mapped:
        return str(read.ipv4_mapped)
    return str(IPv6Network((int(read), _SITE_BITS), strict=False))


def _counter(kind: str, limit: ThrottleLimit, *parts: str) -> tuple[str, float]:
    # JSON keeps ("a", "bc") and ("ab", "c") apart and can hold any text at all.
    return json.dumps([kind, *parts]), limit.window


def _names(counters: Sequence[tuple[str, float]]) -> list[str]:
    return [name for name, _ in counters]
