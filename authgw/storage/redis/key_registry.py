"""Replicas that share a Redis must share keys: each says which it has, and none signs alone."""

import asyncio
import secrets
import time
from contextlib import suppress

from loguru import logger

from authgw.core.errors import KeysNotSharedError, StoreUnavailableError
from authgw.core.keys import KeyRing, SigningKeyError
from authgw.storage import StoreSetupError
from authgw.storage.redis.store import RedisStore

_RENEW = 10.0  # seconds; a third of what an announcement lives
_RETRY = 0.5
_AHEAD = 300.0  # seconds before a key signs in which a replica that lacks it is an alarm


class KeyRegistry:
    """Whether this replica is one of those that run on this Redis."""

    def __init__(self, store: RedisStore, keys: KeyRing) -> None:
        self._store = store
        self._keys = keys
        self._name = secrets.token_hex(8)
        self._checked = False
        self._taken = False
        self._said = ""
        self._announced: tuple[str, tuple[str, ...]] | None = None

    @property
    def why_not(self) -> str:
        """Why this replica may not sign, or nothing."""
        return "" if self._taken else self._said or "this replica has not reached Redis yet"

    @property
    def clashes(self) -> bool:
        """Whether another replica's keys and this one's are not the same."""
        return self._checked and bool(self._said)

    def check(self) -> None:
        """Raise KeysNotSharedError while this replica may not sign."""
        if not self._taken:
            raise KeysNotSharedError(self.why_not)

    async def keep(self) -> None:
        """Announce this replica for as long as it runs."""
        while True:
            await self.announce()
            await asyncio.sleep(_RENEW if self._taken else _RETRY)

    async def announce(self) -> None:
        """Announce this replica once; one that runs says early what it will sign with."""
        now = time.time()
        kids = self._keys.kids(now)
        signing = self._keys.signing_key(now + (_AHEAD if self._taken else 0.0)).kid
        try:
            await self._check_store()
            self._taken, clash = await self._store.announce(self._name, signing, kids)
        except StoreUnavailableError:
            # What it was stays true: readiness asks the store itself.
            return
        except StoreSetupError as error:
            self._tell(f"{error}. Not ready.")
            return
        self._announced = (signing, kids)
        self._say(signing, clash)

    async def adopt(self, keys: KeyRing) -> None:
        """Go on with these keys.

        Raises:
            SigningKeyError: another replica lacks the one that signs, or these lack another's; this
                replica goes on with those it had.
        """
        now = time.time()
        signing, kids = keys.signing_key(now).kid, keys.kids(now)
        if (signing, kids) != (self._keys.signing_key(now).kid, self._keys.kids(now)):
            await self._announce_new(signing, kids)
        self._keys = keys

    async def leave(self) -> None:
        """Say that this replica ends: what it signed with binds no newcomer any more."""
        if self._announced is not None:
            with suppress(StoreUnavailableError):
                await self._store.withdraw(self._name, *self._announced)

    async def _announce_new(self, signing: str, kids: tuple[str, ...]) -> None:
        try:
            taken, clash = await self._store.announce(self._name, signing, kids, new=True)
        except StoreUnavailableError:
            # Nobody is answered now; the next announcement tells.
            return
        if not taken:
            raise SigningKeyError(
                f"this replica would sign with kid {signing}; the others on this Redis use "
                f"{clash}, and one of both is not shared: share the keys directory, or remove "
                f"{signing}.pem and run `authgw key add` again"
            )
        self._taken, self._announced, self._said = True, (signing, kids), ""

    async def _check_store(self) -> None:
        """Refuse a store that must not be used, when it is first reached: at the start or later.

        Raises:
            StoreSetupError, StoreUnavailableError: as `RedisStore.check`.
        """
        if not self._checked:
            await self._store.check()
            self._checked = True

    def _say(self, signing: str, clash: str) -> None:
        end = "Reload all (SIGHUP). Still answering." if self._taken else "Not ready."
        said = clash and (
            f"This replica signs with kid {signing}; the others on this Redis use {clash}. "
            f"Share the keys directory. {end}"
        )
        self._tell(said)

    def _tell(self, said: str) -> None:
        if said and said != self._said:
            logger.error(said)
        self._said = said
