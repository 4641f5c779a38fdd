"""What answers requests from now on, so that a reload changes all of it at once, and a drain.

A request is answered to its end by the gateway that it met: no verdict mixes two of them.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import cast

from aiohttp import web

from authgw.web.authenticate import authenticate
from authgw.web.errors import Handler, problems
from authgw.web.gateway import GATEWAY, Gateway
from authgw.web.prepared import Prepared
from authgw.web.shortcut import ASKED, Shortcut

LongWay = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Serving:
    """The gateway that answers, and what is remembered of its answers.

    Once `draining`, every answer closes its connection. `answered` counts those that were given at
    once; `check` answers the other checks.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.draining = False
        self.answered = 0
        self.check: Handler = partial(problems, handler=authenticate)
        self.use(gateway)

    def at_once(self, peer: str, names: tuple[bytes, ...], values: Sequence[bytes]) -> bytes | None:
        """All of the answer to a check by this peer with these headers, if it is known now.

        The check is a GET of HTTP/1.1 without a body.
        """
        if self.shortcut is None or self.draining:
            return None
        known = self.shortcut.known(peer, names, values)
        if known is None:
            return None
        self.answered += 1
        return known.block()

    def use(self, gateway: Gateway) -> None:
        """Let this one answer from the next request on; it remembers nothing yet."""
        self.gateway = gateway
        # Only the long way records what is allowed, and tells where a cookie's name is good.
        remembers = not gateway.record_allowed and len(gateway.cookies) < 2
        self.shortcut = Shortcut(gateway.sessions, gateway.identity) if remembers else None


SERVING = web.AppKey("serving", Serving)


@web.middleware
async def bound(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer all of a request by one gateway, whatever comes into its place meanwhile."""
    request[GATEWAY] = request.app[SERVING].gateway
    return await handler(request)


def shorten(server: web.Server, serving: Serving) -> None:
    """Let a server ask the application only what takes the long way."""
    server.request_handler = _first(serving, server.request_handler)


def _first(serving: Serving, long_way: LongWay) -> LongWay:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        shortcut = serving.shortcut
        asked = None if shortcut is None else shortcut.asked(request)
        try:
            if asked is None:
                answer = await long_way(request)
            else:
                request[GATEWAY], request[ASKED] = serving.gateway, asked
                # aiohttp made it by the application, which it needs not ask where this leads.
                answer = await serving.check(cast(web.Request, request))
        except web.HTTPException as refusal:
            # aiohttp's own, before any handler: an `Expect` that it does not know.
            if serving.draining:
                refusal.force_close()
            raise
        return _last(answer) if serving.draining else answer

    return handle


def _last(answer: web.StreamResponse) -> web.StreamResponse:
    """The same answer as the last one on its connection (RFC 9112 section 9.6)."""
    last = answer.plain() if isinstance(answer, Prepared) else answer
    last.force_close()
    return last
