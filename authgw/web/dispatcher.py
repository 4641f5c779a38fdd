"""The current gateway: replaced as a whole by a reload, closed by a drain.

A request is handled by a single gateway from beginning to end: no decision mixes two of them.
"""

from collections.abc import Iterator

from aiohttp import web

from authgw.core.measurements import Measurement, gauge
from authgw.web.context import GATEWAY, Gateway


class Dispatcher:
    """The current gateway.

    While `draining`, every response closes its connection. `cached_responses` counts the responses
    from its decision cache.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.draining = False
        self.cached_responses = 0
        self.use(gateway)

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield gauge("authgw_draining", "1 after this replica received SIGTERM", self.draining)

    def use(self, gateway: Gateway) -> None:
        """Handle requests by this gateway from now on; its cache is empty."""
        self.gateway = gateway

    def bind(self, request: web.BaseRequest) -> None:
        """Handle a request by the gateway of its beginning, also if a reload replaces it."""
        request[GATEWAY] = self.gateway


DISPATCHER = web.AppKey("dispatcher", Dispatcher)
