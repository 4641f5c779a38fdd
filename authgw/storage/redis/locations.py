"""The address of a server: fixed, or that of the master that Sentinels name."""

import asyncio
from typing import Any, Protocol

from authgw.storage.redis.link import Address


class ServerLocation(Protocol):
    """Determines the address of a server before each connection."""

    async def find(self) -> Address:
        """Return the current address.

        Raises:
            COMMUNICATION_ERRORS: no Sentinel names it.
        """

    async def close(self) -> None:
        """Close all connections."""


class FixedLocation:
    """An address that does not change."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    async def find(self) -> Address:
        """See `ServerLocation.find`."""
        return self._address

    async def close(self) -> None:
        """See `ServerLocation.close`."""


class SentinelLocation:
    """The address of the master that the Sentinels of redis-py's `manager` name so."""

    def __init__(self, manager: Any, master: str) -> None:
        self._manager = manager
        self._master = master
        self._query: asyncio.Task[Address] | None = None

    async def find(self) -> Address:
        """Query the Sentinels once for all links, whose deadlines do not end the query."""
        if self._query is None or self._query.done():
            self._query = asyncio.create_task(self._manager.discover_master(self._master))
            # Links receive the exception; without them nothing needs it.
            self._query.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._query)

    async def close(self) -> None:
        """See `ServerLocation.close`."""
        if self._query is not None:
            self._query.cancel()
        await self._manager.aclose()
