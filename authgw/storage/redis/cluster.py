"""The masters of a Redis Cluster and their slots.

redis-py's RedisCluster is not asked: its nodes refuse a call when all their connections are in use
instead of letting it wait, it sends ASKING on another connection than the command, and it gives no
way to WAIT on the connection that wrote.
"""

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.cluster import parse_cluster_slots
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError

from authgw.storage.redis.node import AWAY, RedisNode, obeyed
from authgw.storage.redis.replies import Request, is_slots

Address = tuple[str, int]

_PATIENCE = 0.5  # seconds that one node has for naming the slots, before another one is asked
_SLOTS = Request(("CLUSTER", "SLOTS"), is_slots)
_PAUSE = 0.1  # seconds between two questions for the slots, however many calls fail meanwhile


class Cluster:
    """Who holds which slot, as some node said last; `seeds` are nodes to begin with."""

    replicated = True

    def __init__(self, seeds: Sequence[Address], client: Callable[[str, int], "Redis"]) -> None:
        self._seeds = frozenset(seeds)
        self._client = client
        self._servers: dict[Address, RedisNode] = {}
        for seed in seeds:
            self._server(seed)
        self._holders: dict[int, RedisNode] = {}
        self._learning: asyncio.Task[None] | None = None
        self._asked = -math.inf

    async def find(self) -> None:
        """Return once the slots are known.

        Raises:
            one of AWAY: no node names them.
        """
        if not self._holders:
            # Shielded: the caller's deadline is not the end of it.
            await asyncio.shield(self._learn_soon())
        if not self._holders:
            raise ClusterDownError("no node holds any slot")

    def holder(self, key: str) -> RedisNode:
        """The master of this key's slot.

        Raises:
            ClusterDownError: nobody holds it.
        """
        server = self._holders.get(key_slot(key.encode()))
        if server is None:
            self._learn_soon()
            raise ClusterDownError("no node holds this slot")
        return server

    def other(self, error: AskError, told_by: RedisNode) -> RedisNode:
        """The master that a redirection names; MOVED is remembered, and the rest asked for."""
        server = self._server((error.host or _host(told_by), error.port))
        if isinstance(error, MovedError):
            self._holders[error.slot_id] = server
            self._learn_soon()
        return server

    def known(self) -> Sequence[RedisNode]:
        """Every node that was ever named."""
        return tuple(self._servers.values())

    def failed(self) -> None:
        """Ask who holds what now."""
        self._learn_soon()

    async def all(self) -> Sequence[RedisNode]:
        """Every master that holds a slot.

        Raises:
            one of AWAY: as `find`.
        """
        await self.find()
        return tuple(dict.fromkeys(self._holders.values()))

    def pubsub(self) -> PubSub:
        """A listener on any master: what one publishes, all of them hear."""
        nodes = tuple(set(self._holders.values())) or self.known()
        return random.choice(nodes).client.pubsub()  # noqa: S311  no secret

    async def close(self) -> None:
        """Close every connection."""
        if self._learning is not None:
            self._learning.cancel()
        for server in self._servers.values():
            await server.client.aclose()

    def _server(self, address: Address) -> RedisNode:
        if address not in self._servers:
            name = f"Redis {address[0]}:{address[1]}"
            self._servers[address] = RedisNode(self._client(*address), name)
        return self._servers[address]

    def _learn_soon(self) -> "asyncio.Task[None]":
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn())
            # Whoever waits for it is told; if nobody does, the next call that fails asks again.
            self._learning.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._learning

    async def _learn(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._asked + _PAUSE - loop.time()))
        self._asked = loop.time()
        known, why = list(self.known()), Exception()
        random.shuffle(known)
        for server in known:
            try:
                async with asyncio.timeout(_PATIENCE):
                    (slots,) = await server.execute([_SLOTS])
                await self._take(parse_cluster_slots(obeyed(slots), current_host=_host(server)))
                return
            except AWAY as error:
                why = error
        raise why

    async def _take(self, slots: Mapping[tuple[int, int], Mapping[str, Any]]) -> None:
        holders: dict[int, RedisNode] = {}
        listed = {*self._seeds}
        for (first, last), nodes in slots.items():
            listed |= {nodes["primary"], *nodes["replicas"]}
            holder = self._server(nodes["primary"])
            holders.update(dict.fromkeys(range(first, last + 1), holder))
        self._holders, masters = holders, set(holders.values())
        for address in listed:
            self._server(address)
        for server in self._servers.values():
            # Who is no master now must not be taken for one without a replica.
            server.without_replica = server.without_replica and server in masters
        for address in set(self._servers) - listed:
            await self._servers[address].client.connection_pool.disconnect(inuse_connections=False)


def _host(server: RedisNode) -> str:
    host: str = server.client.connection_pool.connection_kwargs["host"]
    return host
