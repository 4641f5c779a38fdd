"""The kind of stores that Redis URLs name: a single server, Sentinels or a Cluster."""

from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from authgw.core.errors import StoreUnavailableError
from authgw.storage import StoreSetupError
from authgw.storage.kinds import StoreLocation
from authgw.storage.redis.url import parse_redis

if TYPE_CHECKING:
    from authgw.storage.redis.store import RedisStore

_TOPOLOGIES = {
    "one": "a single Redis",
    "sentinel": "Redis with Sentinels",
    "cluster": "a Redis Cluster",
}


class RedisKind:
    """See `StoreKind`."""

    prefixes = ("redis://", "redis+", "rediss://", "rediss+")
    examples = ("redis://HOST",)
    is_shared = True

    def validate(self, url: str) -> None:
        """See `StoreKind.validate`."""
        parse_redis(url)

    def file(self, url: str, directory: Path) -> Path | None:
        """See `StoreKind.file`."""
        return None

    def describe(self, url: str, directory: Path) -> str:
        """See `StoreKind.describe`."""
        address = parse_redis(url)
        return _TOPOLOGIES[address.topology] + (" by TLS" if address.tls else "")

    async def open(self, location: StoreLocation) -> "RedisStore":
        """See `StoreKind.open`."""
        store = self._store(location)
        try:
            await store.check()
        except StoreUnavailableError as error:
            logger.bind(event="store_unreachable").warning(
                f"Not ready: cannot reach the session store ({error.detail}). Responses are 503 "
                "until it is reachable; check cache.url."
            )
        return store

    async def open_shared(self, location: StoreLocation) -> "RedisStore":
        """See `StoreKind.open_shared`."""
        return self._store(location)

    async def open_exclusive(self, location: StoreLocation) -> "RedisStore":
        """See `StoreKind.open_exclusive`: no replica has announced itself."""
        from authgw.storage.redis.counters import ANNOUNCEMENT_LIFETIME

        store = self._store(location)
        try:
            await store.check()
            running = len(await store.replicas())
            if running:
                raise StoreSetupError(
                    f"gateways use this Redis ({running}), and a session that they end now would "
                    f"be valid again in the copy: stop them and wait {ANNOUNCEMENT_LIFETIME:.0f} s"
                )
        except BaseException:
            await store.close()
            raise
        return store

    def _store(self, location: StoreLocation) -> "RedisStore":
        # Imported here: a command that opens no store needs no library for it.
        from authgw.storage.redis.connect import connect
        from authgw.storage.redis.store import RedisStore

        servers = connect(location.url, password=location.password, ca_file=location.ca_file)
        return RedisStore(servers, idle=location.idle, session_max=location.session_max)


REDIS = RedisKind()
