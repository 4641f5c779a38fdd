"""The masters of a Redis Cluster and their slots.

redis-py's RedisCluster is not used: its nodes refuse a call when all their connections are in use
instead of making it wait, it sends ASKING on another connection than the command, and it cannot
send WAIT on the connection that wrote.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence

from authgw.storage.redis.errors import AskError, ClusterDownError, MovedError
from authgw.storage.redis.link import COMMUNICATION_ERRORS, Address, RedisLink
from authgw.storage.redis.node import RedisNode, unless_refused
from authgw.storage.redis.replies import Request, is_slots
from authgw.storage.redis.slots import SlotRange, slot_of, slots_in

_NODE_TIMEOUT = 0.5  # seconds for a node's reply to CLUSTER SLOTS, before another node is tried
_SLOTS = Request(("CLUSTER", "SLOTS"), is_slots)
_MIN_REFRESH_INTERVAL = 0.1  # seconds between two refreshes of the slots, however many calls fail


class Cluster:
    """The holders of all slots, as of the last CLUSTER SLOTS; `seeds` are the initial nodes.

    `node` returns the server at an address, without connecting to it yet.
    """

    replicated = True

    def __init__(self, seeds: Sequence[Address], node: Callable[[str, int], RedisNode]) -> None:
        self._seeds = frozenset(seeds)
        self._node = node
        self._servers: dict[Address, RedisNode] = {}
        for seed in seeds:
            self._server(seed)
        self._holders: dict[int, RedisNode] = {}
        self._refresh_task: asyncio.Task[None] | None = None
        self._last_refresh = -math.inf

    @property
    def is_discovered(self) -> bool:
        """See `Servers.is_discovered`."""
        return bool(self._holders)

    async def discover(self) -> None:
        """Wait until the slots are known.

        Raises:
            COMMUNICATION_ERRORS: no node names them.
        """
        if not self._holders:
            # Shielded: the refresh continues after the caller's deadline.
            await asyncio.shield(self._start_refresh())
        if not self._holders:
            raise ClusterDownError("no node holds any slot")

    def holder(self, key: str) -> RedisNode:
        """Return the master of this key's slot.

        Raises:
            ClusterDownError: no node holds the slot.
        """
        server = self._holders.get(slot_of(key))
        if server is None:
            self._start_refresh()
            raise ClusterDownError("no node holds this slot")
        return server

    def redirected(self, error: AskError, source: RedisNode) -> RedisNode:
        """See `Servers.redirected`; after MOVED, this also refreshes all slots."""
        server = self._server((error.host or source.host, error.port))
        if isinstance(error, MovedError):
            self._holders[error.slot_id] = server
            self._start_refresh()
        return server

    def known(self) -> Sequence[RedisNode]:
        """Return all nodes that were ever named."""
        return tuple(self._servers.values())

    def report_failure(self) -> None:
        """Start a refresh of the slots."""
        self._start_refresh()

    async def masters(self) -> Sequence[RedisNode]:
        """Return all masters that hold a slot.

        Raises:
            COMMUNICATION_ERRORS: as `discover`.
        """
        await self.discover()
        return tuple(dict.fromkeys(self._holders.values()))

    def subscribe(self, on_message: Callable[[bytes], None]) -> RedisLink:
        """Return a link to any master: the nodes forward messages to each other."""
        nodes = tuple(set(self._holders.values())) or self.known()
        return random.choice(nodes).subscribe(on_message)  # noqa: S311  no secret

    async def close(self) -> None:
        """Close all connections."""
        if self._refresh_task is not None:
            self._refresh_task.cancel()
        for server in self._servers.values():
            await server.close()

    def _server(self, address: Address) -> RedisNode:
        if address not in self._servers:
            self._servers[address] = self._node(*address)
        return self._servers[address]

    def _start_refresh(self) -> "asyncio.Task[None]":
        if self._refresh_task is None or self._refresh_task.done():
            self._refresh_task = task = asyncio.create_task(self._refresh())
            # Retrieve the exception: without a waiter, the next call that fails refreshes again.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._refresh_task

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._last_refresh + _MIN_REFRESH_INTERVAL - loop.time()))
        self._last_refresh = loop.time()
        nodes, last_error = list(self.known()), Exception()
        random.shuffle(nodes)
        for server in nodes:
            try:
                (slots,) = await server.execute([_SLOTS], loop.time() + _NODE_TIMEOUT)
                self._take(slots_in(unless_refused(slots), server.host))
                return
            except COMMUNICATION_ERRORS as error:
                last_error = error
        raise last_error

    def _take(self, ranges: Sequence[SlotRange]) -> None:
        holders: dict[int, RedisNode] = {}
        listed = {*self._seeds}
        for first, last, primary, replicas in ranges:
            listed |= {primary, *replicas}
            holder = self._server(primary)
            holders.update(dict.fromkeys(range(first, last + 1), holder))
        self._holders, masters = holders, set(holders.values())
        for address in listed:
            self._server(address)
        for server in self._servers.values():
            # A former master must not count as a master without a replica.
            server.without_replica = server.without_replica and server in masters
        for address in set(self._servers) - listed:
            self._servers[address].close_idle()
