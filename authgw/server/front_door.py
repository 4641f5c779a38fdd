"""The requests that are served without aiohttp: checks, JSON requests, refused requests.

A check is a GET or HEAD of HTTP/1.1 without a body and without a header that asks for more than a
response. All other requests are for the application, on aiohttp.
"""

import re
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from authgw.core.audit import NO_TARGET, Target
from authgw.core.errors import AuthgwError, ExpectationFailedError
from authgw.core.networks import UNIX
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.envoy import ENVOY
from authgw.dialects.headers import client_address
from authgw.dialects.registry import DIALECTS
from authgw.forward_auth.decision_cache import DIALECT, CheckKey
from authgw.forward_auth.own_target import own_target
from authgw.forward_auth.problems import failure_event, problem, refusal_event
from authgw.forward_auth.request_ids import request_id
from authgw.forward_auth.response_bytes import DATE, Response, serialised
from authgw.server.api_door import ApiDoor
from authgw.server.http_reader import RequestHead
from authgw.web.dispatcher import Dispatcher

# Records a response: endpoint, status, code of the refusal or empty, seconds.
RecordResponse = Callable[[str, int, str, float], None]
# All bytes of a response, or the coroutine that returns them after a session was read.
BegunResponse = bytes | Coroutine[Any, Any, bytes]

_PATHS = {dialect.path.encode(): dialect for dialect in DIALECTS if dialect is not ENVOY}
# RFC 3986 sections 3.3 and 3.4; aiohttp may read other targets in its own way.
_ENVOY_TARGET = re.compile(ENVOY.path.encode() + rb"(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
_METHODS = (b"GET", b"HEAD")
# With one of these a request has a body, or its connection may be used for something else.
_UNUSUAL = frozenset(
    {b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"http2-settings"}
)


class FrontDoor:
    """Serves checks by the dispatcher's gateway, and refuses requests that cannot be served."""

    def __init__(self, dispatcher: Dispatcher, record: RecordResponse) -> None:
        self._dispatcher = dispatcher
        self._record = record
        self._api = ApiDoor(dispatcher, record)

    @property
    def is_draining(self) -> bool:
        """True if every response is the last of its connection."""
        return self._dispatcher.draining

    def lookup(
        self, peer: str, names: tuple[bytes, ...], values: Sequence[bytes]
    ) -> bytes | CheckKey | None:
        """Return the whole response to a check by this peer with these headers, if it is cached.

        Otherwise return the keys of the check if they may be known, for `begin_known`, else None.
        The check is a GET of HTTP/1.1 without a body.
        """
        dispatcher = self._dispatcher
        if dispatcher.draining:
            return None
        found = dispatcher.gateway.checks.lookup(peer, names, values)
        if found is None or isinstance(found, CheckKey):
            return found
        dispatcher.cached_responses += 1
        return found.prepared + DATE.line() + found.body

    def begin_known(self, key: CheckKey) -> BegunResponse | None:
        """Respond to a check, whose keys `lookup` returned, if its rule is cached, else None."""
        start = time.perf_counter()
        begun = self._dispatcher.gateway.checks.begin_known(key)
        if begun is None:
            return None
        if isinstance(begun, Response):
            return self._finished(begun, DIALECT, start, closes=False)
        return self._after_read(begun, DIALECT, start, keeps_alive=True)

    def dialect_of(self, head: RequestHead) -> Dialect | None:
        """Return the dialect of a check, None for a request to the application."""
        if head.method not in _METHODS or head.version != "1.1":
            return None
        if head.upgrades or not _UNUSUAL.isdisjoint(head.by_name):
            return None
        dialect = _PATHS.get(head.target)
        if dialect is None and _ENVOY_TARGET.fullmatch(head.target):
            return ENVOY
        return dialect

    def begin(self, head: RequestHead, dialect: Dialect, peer: str) -> BegunResponse:
        """Respond to a check of this dialect."""
        start, closes = time.perf_counter(), self.closes(head)
        headers = tuple(zip(head.names, head.values, strict=True))
        request = Subrequest(head.method.decode(), head.target.decode("ascii"), headers, peer)
        begun = self._dispatcher.gateway.checks.begin(request, dialect, is_plain=not closes)
        is_head = head.method == b"HEAD"
        if isinstance(begun, Response):
            return self._finished(begun, dialect, start, is_head=is_head, closes=closes)
        return self._after_read(
            begun, dialect, start, is_head=is_head, keeps_alive=head.keeps_alive
        )

    def api_body_length(self, head: RequestHead) -> int | None:
        """See `ApiDoor.body_length`."""
        return self._api.body_length(head)

    async def respond_to_api(self, head: RequestHead, content: bytes, peer: str) -> bytes:
        """Respond to a request to a JSON endpoint that has this body."""
        response = await self._api.respond(head, content, peer)
        return serialised(response, closes=self.closes(head))

    def closes(self, head: RequestHead) -> bool:
        """Return True if the response is the last of its connection."""
        return not head.keeps_alive or self._dispatcher.draining

    def refusal(self, error: AuthgwError, peer: str) -> bytes:
        """Return the response to a request that cannot be read, the last of its connection."""
        response = self._refused(error, peer, (), NO_TARGET)
        # Not even the version of the request is known.
        return serialised(response, closes=True).replace(b"HTTP/1.1", b"HTTP/1.0", 1)

    def failure(self, peer: str) -> bytes:
        """Return the response to a request that failed outside of the application."""
        services = self._dispatcher.gateway.services
        number = self._request_id((), peer)
        services.record(failure_event(RuntimeError(), number, peer, NO_TARGET))
        return serialised(problem("internal_error", number), closes=True)

    def refused_expectation(self, head: RequestHead, peer: str) -> bytes | None:
        """Refuse an Expect of HTTP/1.1 that is not 100-continue (RFC 9110 section 10.1.1)."""
        if b"expect" not in head.by_name or head.version != "1.1":
            return None
        if all(value.lower() in (b"", b"100-continue") for value in head.sent(b"expect")):
            return None
        headers = tuple(zip(head.names, head.values, strict=True))
        target = own_target(head.method.decode(), head.target.decode("latin-1"), headers)
        response = self._refused(ExpectationFailedError(), peer, headers, target)
        # It is unknown whether the body follows, so the connection is closed.
        return serialised(response, is_head=head.method == b"HEAD", closes=True)

    def _finished(
        self,
        response: Response,
        dialect: Dialect,
        start: float,
        *,
        is_head: bool = False,
        closes: bool,
    ) -> bytes:
        sent = serialised(response, is_head=is_head, closes=closes)
        seconds = time.perf_counter() - start
        self._record(dialect.path, response.status, response.reason, seconds)
        return sent

    async def _after_read(
        self,
        begun: Coroutine[Any, Any, Response],
        dialect: Dialect,
        start: float,
        *,
        is_head: bool = False,
        keeps_alive: bool,
    ) -> bytes:
        response = await begun
        closes = not keeps_alive or self._dispatcher.draining
        return self._finished(response, dialect, start, is_head=is_head, closes=closes)

    def _refused(
        self,
        error: AuthgwError,
        peer: str,
        headers: tuple[tuple[bytes, bytes], ...],
        target: Target,
    ) -> Response:
        gateway, number = self._dispatcher.gateway, self._request_id(headers, peer)
        address = client_address(headers, peer, gateway.policy.trusted)
        gateway.services.record(refusal_event(error, number, address, target))
        return problem(error.code, number, detail=error.detail)

    def _request_id(self, headers: tuple[tuple[bytes, bytes], ...], peer: str) -> str:
        return request_id(headers, peer, self._dispatcher.gateway.policy.trusted)


def peer_name(name: Any) -> str:
    """Return the address in a socket's `peername`, or `unix`.

    The peer of a unix socket chooses its own path there, which could be `127.0.0.1`.
    """
    return str(name[0]) if isinstance(name, tuple) else UNIX
