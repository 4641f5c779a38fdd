"""Registry of the replicas' signing keys: a replica whose keys differ from others must not sign."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from loguru import logger

from authgw.core.errors import KeysNotSharedError, StoreUnavailableError
from authgw.core.keys import KeyRing, SigningKeyError
from authgw.core.measurements import Measurement, gauge
from authgw.storage import StoreSetupError

_RENEWAL_INTERVAL = 10.0  # seconds; a third of the lifetime of an announcement
_RETRY_INTERVAL = 0.5  # seconds
_NOTICE_PERIOD = 300.0  # seconds before a key signs: from then on replicas that lack it are logged


class AnnouncementStore(Protocol):
    """The members of a `RedisStore` by which replicas announce their keys."""

    compact: bool

    async def check(self) -> None:
        """See `RedisStore.check`."""

    async def announce(
        self, replica: str, signing: str, kids: tuple[str, ...], *, new: bool = False
    ) -> tuple[bool, str]:
        """See `RedisCounters.announce`."""

    async def withdraw(self, replica: str, signing: str, kids: tuple[str, ...]) -> None:
        """See `RedisCounters.withdraw`."""


class RedisKeyRegistry:
    """Registers this replica and its keys in Redis; only a registered replica may sign."""

    def __init__(self, store: AnnouncementStore, keys: KeyRing) -> None:
        self._store = store
        self._keys = keys
        self._name = secrets.token_hex(8)
        self._store_checked = False
        self._registered = False
        self._problem = ""
        self._announced: tuple[str, tuple[str, ...]] | None = None
        self._compact = True

    @property
    def refusal(self) -> str:
        """The reason why this replica must not sign, or ""."""
        if self._registered:
            return ""
        return self._problem or "this replica has not reached Redis yet"

    @property
    def has_conflict(self) -> bool:
        """True if this replica and another lack each other's keys."""
        return self._store_checked and bool(self._problem)

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield gauge(
            "authgw_keys_not_shared",
            "1 while replicas on this Redis lack each other's keys",
            self.has_conflict,
        )

    def check(self) -> None:
        """Check that this replica may sign.

        Raises:
            KeysNotSharedError: it is not registered.
        """
        if not self._registered:
            raise KeysNotSharedError(self.refusal)

    async def run(self) -> None:
        """Announce this replica regularly until cancelled."""
        while True:
            await self.announce()
            await asyncio.sleep(_RENEWAL_INTERVAL if self._registered else _RETRY_INTERVAL)

    async def announce(self) -> None:
        """Announce this replica; a registered replica announces its next signing key early."""
        now = time.time()
        kids = self._keys.kids(now)
        notice = _NOTICE_PERIOD if self._registered else 0.0
        signing = self._keys.signing_key(now + notice).kid
        try:
            await self._check_store()
            self._registered, conflict = await self._store.announce(self._name, signing, kids)
        except StoreUnavailableError:
            # The state stays as it is: the readiness check reads the store itself.
            return
        except StoreSetupError as error:
            self._set_problem(f"{error}. Not ready.")
            return
        self._announced = (signing, kids)
        self._report_conflict(signing, conflict)
        self._report_forms()

    async def adopt(self, keys: KeyRing) -> None:
        """Replace the keys of this replica.

        Raises:
            SigningKeyError: another replica lacks the new signing key, or the new keys lack another
                replica's; this replica keeps its previous keys.
        """
        now = time.time()
        signing, kids = keys.signing_key(now).kid, keys.kids(now)
        if (signing, kids) != (self._keys.signing_key(now).kid, self._keys.kids(now)):
            await self._announce_new(signing, kids)
        self._keys = keys

    async def leave(self) -> None:
        """Withdraw the announcement: new replicas need not have the keys of this replica."""
        if self._announced is not None:
            with suppress(StoreUnavailableError):
                await self._store.withdraw(self._name, *self._announced)

    async def _announce_new(self, signing: str, kids: tuple[str, ...]) -> None:
        try:
            registered, conflict = await self._store.announce(self._name, signing, kids, new=True)
        except StoreUnavailableError:
            # No request succeeds without the store; the next announcement reports a conflict.
            return
        if not registered:
            raise SigningKeyError(
                f"this replica would sign with kid {signing}; the others on this Redis use "
                f"{conflict}, and one of both is not shared: share the keys directory, or remove "
                f"{signing}.pem and run `authgw key add` again"
            )
        self._registered, self._announced, self._problem = True, (signing, kids), ""

    async def _check_store(self) -> None:
        """Check the store when it is first reached, which may be after the start.

        Raises:
            StoreSetupError: as `RedisStore.check`.
            StoreUnavailableError: as `RedisStore.check`.
        """
        if not self._store_checked:
            await self._store.check()
            self._store_checked = True

    def _report_conflict(self, signing: str, conflict: str) -> None:
        served = "Reload all (SIGHUP). Requests are still served."
        end = served if self._registered else "Not ready."
        problem = conflict and (
            f"This replica signs with kid {signing}; the others on this Redis use {conflict}. "
            f"Share the keys directory. {end}"
        )
        self._set_problem(problem)

    def _report_forms(self) -> None:
        """Log when this replica must write the forms of the previous version, and the end."""
        compact = self._store.compact
        if compact != self._compact and self._registered:
            others = "all replicas on this Redis read them"
            if not compact:
                others = "a replica of the previous version runs on this Redis"
            logger.bind(event="token_format").info(
                f"{'Compact' if compact else 'Previous'} records and tokens: {others}."
            )
            self._compact = compact

    def _set_problem(self, problem: str) -> None:
        """Store the problem, "" for none; log it if it is new."""
        if problem and problem != self._problem:
            logger.bind(event="keys_not_shared").error(problem)
        self._problem = problem
