"""The current handlers: replaced as a whole by a reload, closed by a drain.

A request is handled by a single gateway from beginning to end: no decision mixes two of them.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

from aiohttp import HttpVersion11, hdrs, web

from authgw.core.errors import ExpectationFailedError
from authgw.core.measurements import Measurement, gauge
from authgw.forward_auth.decision_cache import CHECK_KEY, DIALECT, DecisionCache
from authgw.forward_auth.endpoint import check
from authgw.forward_auth.response_bytes import PreparedResponse
from authgw.web.aiohttp_internals import Handle, wrap_handler
from authgw.web.context import GATEWAY, Gateway
from authgw.web.problems import Handler, failure, problems, refusal, unreadable


class Dispatcher:
    """The current gateway and its decision cache.

    While `draining`, every response closes its connection. `cached_responses` counts the responses
    from the cache; `check` handles all other checks that may be cached.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.draining = False
        self.cached_responses = 0
        self.check: Handler = partial(problems, handler=partial(check, dialect=DIALECT))
        self.use(gateway)

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield gauge("authgw_draining", "1 once this replica was told to end", self.draining)

    def cached_response(
        self, peer: str, names: tuple[bytes, ...], values: Sequence[bytes]
    ) -> bytes | None:
        """Return the whole response to a check by this peer with these headers, if it is cached.

        The check is a GET of HTTP/1.1 without a body.
        """
        if self.cache is None or self.draining:
            return None
        response = self.cache.lookup(peer, names, values)
        if response is None:
            return None
        self.cached_responses += 1
        return response.block()

    def refuse(
        self, request: web.BaseRequest, status: int, error: BaseException | None
    ) -> web.StreamResponse:
        """Return the response to a request that aiohttp could not parse (400) or that failed."""
        bound_request = self._bind(request)
        if status == 400 or error is None:
            return _closing(unreadable(bound_request, error))
        return _closing(failure(bound_request, error))

    def refuse_expectation(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Refuse an Expect that cannot be met; aiohttp's own response would repeat its value."""
        if not has_unknown_expectation(request):
            return None
        # It is unknown whether the body follows, so the connection is closed.
        return _closing(refusal(self._bind(request), ExpectationFailedError()))

    def _bind(self, request: web.BaseRequest) -> web.Request:
        request[GATEWAY] = self.gateway
        # aiohttp's application created it.
        return cast(web.Request, request)

    def use(self, gateway: Gateway) -> None:
        """Handle requests by this gateway from now on; its cache is empty."""
        self.gateway = gateway
        # Only a complete check records what is allowed, and checks where a cookie is valid.
        is_cached = not gateway.policy.record_allowed and len(gateway.policy.cookies) < 2
        self.cache = (
            DecisionCache(gateway.services.identification, gateway.policy.identity)
            if is_cached
            else None
        )


DISPATCHER = web.AppKey("dispatcher", Dispatcher)


@web.middleware
async def bind_gateway(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Handle a request by the gateway of its beginning, also if a reload replaces it."""
    request[GATEWAY] = request.app[DISPATCHER].gateway
    return await handler(request)


def bypass_router(server: web.Server, dispatcher: Dispatcher) -> None:
    """Let this server handle checks that may be cached without the application's router."""
    wrap_handler(server, partial(_with_cache, dispatcher))


def _with_cache(dispatcher: Dispatcher, route: Handle) -> Handle:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        key = None if dispatcher.cache is None else dispatcher.cache.key_of(request)
        if key is None:
            response = dispatcher.refuse_expectation(request) or await route(request)
        else:
            request[GATEWAY], request[CHECK_KEY] = dispatcher.gateway, key
            # aiohttp's application created it; its router is not needed for this path.
            response = await dispatcher.check(cast(web.Request, request))
        return _closing(response) if dispatcher.draining else response

    return handle


def has_unknown_expectation(request: web.BaseRequest) -> bool:
    """Return True if a request of HTTP/1.1 expects anything but 100-continue.

    See RFC 9110 section 10.1.1.
    """
    expected = request.headers.getall(hdrs.EXPECT, ()) if request.version == HttpVersion11 else ()
    return any(each.lower() not in ("", "100-continue") for each in expected)


def _closing(response: web.StreamResponse) -> web.StreamResponse:
    """Return the response as the last of its connection (RFC 9112 section 9.6)."""
    closing = response.plain() if isinstance(response, PreparedResponse) else response
    closing.force_close()
    return closing
