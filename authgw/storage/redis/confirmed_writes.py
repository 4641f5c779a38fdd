"""Writes that a replica must confirm, on links of their own: WAIT holds up what follows it.

All writes of a turn of the event loop form a group, which is sent with a single confirmation. The
groups do not wait for each other as long as there are links.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from authgw.storage.redis.errors import ConnectionError
from authgw.storage.redis.link import RedisLink
from authgw.storage.redis.replies import Sendable

# A replica that takes 100 ms to confirm delays a write by a fraction of that for want of a link.
_MAX_LINKS = 8

Confirm = Callable[[RedisLink, Sequence[Sendable], float], Awaitable[list[Any]]]


class _WriteGroup:
    """The requests of several calls; `deadline` is that of the first call, in loop time."""

    def __init__(self, deadline: float) -> None:
        self.requests: list[Sendable] = []
        self.deadline = deadline
        self.task: asyncio.Task[list[Any]]


class ConfirmedWrites:
    """Sends groups of writes; `confirm` sends them on a link and returns confirmed replies.

    `links` are the open links, which lead to a single server.
    """

    def __init__(self, new_link: Callable[[], RedisLink], confirm: Confirm) -> None:
        self.links: list[RedisLink] = []
        self._new_link = new_link
        self._confirm = confirm
        self._free: list[RedisLink] = []
        self._semaphore = asyncio.Semaphore(_MAX_LINKS)
        self._collecting: _WriteGroup | None = None

    async def execute(self, requests: Sequence[Sendable], deadline: float) -> list[Any]:
        """Send requests with others; return their replies once the writes are confirmed.

        Raises:
            COMMUNICATION_ERRORS: as `confirm`.
        """
        group = self._collecting or self._new_group(deadline)
        first = len(group.requests)
        group.requests.extend(requests)
        # Shielded: the group belongs to other calls as well.
        replies = await asyncio.shield(group.task)
        return replies[first : first + len(requests)]

    def _new_group(self, deadline: float) -> _WriteGroup:
        group = self._collecting = _WriteGroup(deadline)
        # The task starts in the next turn of the loop.
        group.task = asyncio.create_task(self._send(group))
        # Calls receive the exception; if all of them were cancelled, nothing needs it.
        group.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return group

    async def _send(self, group: _WriteGroup) -> list[Any]:
        try:
            async with asyncio.timeout_at(group.deadline), self._semaphore:
                self._stop_collecting(group)
                link = self._free_link()
                try:
                    return await self._confirm(link, group.requests, group.deadline)
                finally:
                    self._release(link)
        finally:
            self._stop_collecting(group)

    def _stop_collecting(self, group: _WriteGroup) -> None:
        if self._collecting is group:
            self._collecting = None

    def _free_link(self) -> RedisLink:
        self.links = [link for link in self.links if not link.is_closed]
        self._free = [link for link in self._free if not link.is_closed]
        if self._free:
            return self._free.pop()
        self.links.append(link := self._new_link())
        return link

    def _release(self, link: RedisLink) -> None:
        if link.is_idle:
            self._free.append(link)
        else:
            # The group did not wait for all replies: the next group must not wait for them.
            link.close(ConnectionError("a confirmation was not waited for"))
