"""What answers requests from now on, so that a reload changes all of it at once, and a drain.

A request is answered to its end by the gateway that it met: no verdict mixes two of them.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

from aiohttp import HttpVersion11, hdrs, web

from authgw.core.errors import ExpectationFailedError
from authgw.core.measurements import Measurement, gauge
from authgw.web.aiohttp_internals import Handle, wrap_handler
from authgw.web.check import authenticate
from authgw.web.context import GATEWAY, Gateway
from authgw.web.decision_cache import ASKED, DecisionCache
from authgw.web.prepared_response import PreparedResponse
from authgw.web.problems import Handler, failure, problems, refusal, unreadable


class Dispatcher:
    """The gateway that answers, and what is remembered of its answers.

    Once `draining`, every answer closes its connection. `answered` counts those that were given at
    once; `check` answers the other checks.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.draining = False
        self.answered = 0
        self.check: Handler = partial(problems, handler=authenticate)
        self.use(gateway)

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield gauge("authgw_draining", "1 once this replica was told to end", self.draining)

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

    def refuse(
        self, request: web.BaseRequest, status: int, error: BaseException | None
    ) -> web.StreamResponse:
        """The answer to a request that aiohttp could not read (400), or that made it fail."""
        bound_to = self._bind(request)
        if status == 400 or error is None:
            return _last(unreadable(bound_to, error))
        return _last(failure(bound_to, error))

    def refuse_expectation(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """The answer to an Expect that cannot be met, before aiohttp gives one that repeats it."""
        if not expects_too_much(request):
            return None
        # Whether the body follows nobody can tell, so nothing may follow.
        return _last(refusal(self._bind(request), ExpectationFailedError()))

    def _bind(self, request: web.BaseRequest) -> web.Request:
        request[GATEWAY] = self.gateway
        # The application made it.
        return cast(web.Request, request)

    def use(self, gateway: Gateway) -> None:
        """Let this one answer from the next request on; it remembers nothing yet."""
        self.gateway = gateway
        # Only the long way records what is allowed, and tells where a cookie's name is good.
        remembers = not gateway.policy.record_allowed and len(gateway.policy.cookies) < 2
        self.shortcut = (
            DecisionCache(gateway.services.identification, gateway.policy.identity)
            if remembers
            else None
        )


SERVING = web.AppKey("serving", Dispatcher)


@web.middleware
async def bound(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer all of a request by one gateway, whatever comes into its place meanwhile."""
    request[GATEWAY] = request.app[SERVING].gateway
    return await handler(request)


def shorten(server: web.Server, serving: Dispatcher) -> None:
    """Let a server ask the application only what takes the long way."""
    wrap_handler(server, partial(_first, serving))


def _first(serving: Dispatcher, long_way: Handle) -> Handle:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        shortcut = serving.shortcut
        asked = None if shortcut is None else shortcut.asked(request)
        if asked is None:
            answer = serving.refuse_expectation(request) or await long_way(request)
        else:
            request[GATEWAY], request[ASKED] = serving.gateway, asked
            # aiohttp made it by the application, which it needs not ask where this leads.
            answer = await serving.check(cast(web.Request, request))
        return _last(answer) if serving.draining else answer

    return handle


def expects_too_much(request: web.BaseRequest) -> bool:
    """Whether a request of HTTP/1.1 expects anything but 100-continue (RFC 9110 section 10.1.1)."""
    expected = request.headers.getall(hdrs.EXPECT, ()) if request.version == HttpVersion11 else ()
    return any(each.lower() not in ("", "100-continue") for each in expected)


def _last(answer: web.StreamResponse) -> web.StreamResponse:
    """The same answer as the last one on its connection (RFC 9112 section 9.6)."""
    last = answer.plain() if isinstance(answer, PreparedResponse) else answer
    last.force_close()
    return last
