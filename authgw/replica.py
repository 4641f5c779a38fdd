"""Replicas that share a Redis must share keys: each says which it has, and none signs alone."""

import asyncio
import secrets
import time

from loguru import logger

from authgw.core.errors import KeysNotShared, StoreUnavailable
from authgw.core.keys import KeyRing
from authgw.storage.redis import RedisStore

_RENEW = 10.0  # seconds; a third of what an announcement lives
_RETRY = 0.5


class Membership:
    """Whether this replica is one of those that run on this Redis."""

    def __init__(self, store: RedisStore, keys: KeyRing) -> None:
        self._store = store
        self._keys = keys
        self._name = secrets.token_hex(8)
        self._taken = False
        self._said = ""

    @property
    def why_not(self) -> str:
        """Why this replica may not sign, or nothing."""
        return "" if self._taken else self._said or "this replica has not reached Redis yet"

    @property
    def clashes(self) -> bool:
        """Whether another replica's keys and this one's are not the same."""
        return bool(self._said)

    def check(self) -> None:
        """Raise KeysNotShared while this replica may not sign."""
        if not self._taken:
            raise KeysNotShared(self.why_not)

    async def keep(self) -> None:
        """Announce this replica for as long as it runs."""
        while True:
            await self.announce()
            await asyncio.sleep(_RENEW if self._taken else _RETRY)

    async def announce(self) -> None:
        """Announce this replica once."""
        now = time.time()
        signing = self._keys.signing_key(now).kid
        try:
            kids = self._keys.kids(now)
            self._taken, clash = await self._store.announce(self._name, signing, kids)
        except StoreUnavailable:
            # What it was stays true: readiness asks the store itself.
            return
        self._say(signing, clash)

    def _say(self, signing: str, clash: str) -> None:
        end = "Still answering." if self._taken else "Not ready."
        said = clash and (
            f"This replica signs with kid {signing}; the others on this Redis use {clash}. "
            f"Share the keys directory. {end}"
        )
        if said and said != self._said:
            logger.error(said)
        self._said = said
