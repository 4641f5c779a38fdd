"""Small JSON requests that are served without aiohttp, as their bytes have all arrived."""

import time
from collections.abc import Awaitable, Callable

from authgw.core.errors import AuthgwError
from authgw.core.limits import MAX_JSON_BYTES
from authgw.dialects.headers import IndexedHeaders
from authgw.forward_auth.problems import failure_event, problem, refusal_event
from authgw.forward_auth.response_bytes import Response
from authgw.server.http_reader import RequestHead
from authgw.web import api
from authgw.web.api_request import ApiRequest, JsonBody
from authgw.web.dispatcher import Dispatcher

Endpoint = Callable[[ApiRequest], Awaitable[Response]]

_ENDPOINTS: dict[bytes, Endpoint] = {
    b"/login": api.login,
    b"/refresh": api.refresh,
    b"/logout": api.logout,
    b"/revoke": api.revoke,
}
# Headers of browsers, of unusual bodies, and of connections that change: for the application.
_FOR_APPLICATION = frozenset(
    {
        *(b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"content-encoding"),
        *(b"cookie", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"),
    }
)
_MEDIA_TYPES = {
    b"": "",
    b"application/json": "application/json",
    b"application/json; charset=utf-8": "application/json",
    b"application/json;charset=utf-8": "application/json",
}


class ApiDoor:
    """Serves the JSON endpoints by the dispatcher's gateway, for clients that are no browsers.

    `record` records a response: endpoint, status, code of the refusal or empty, seconds.
    """

    def __init__(
        self, dispatcher: Dispatcher, record: Callable[[str, int, str, float], None]
    ) -> None:
        self._dispatcher = dispatcher
        self._record = record

    def body_length(self, head: RequestHead) -> int | None:
        """Return the length of the body of a request that is served here, None of any other."""
        if head.method != b"POST" or head.target not in _ENDPOINTS or head.version != "1.1":
            return None
        if head.upgrades or not _FOR_APPLICATION.isdisjoint(head.by_name):
            return None
        if b"html" in b"".join(head.sent(b"accept")).lower():
            return None
        if _media_type(head.sent(b"content-type")) is None:
            return None
        length = sum(map(int, head.sent(b"content-length")))
        return length if length <= MAX_JSON_BYTES else None

    async def respond(self, head: RequestHead, content: bytes, peer: str) -> Response:
        """Respond to a request that has this body, and record the response."""
        start = time.perf_counter()
        headers = IndexedHeaders(zip(head.names, head.values, strict=True))
        headers.by_name = head.by_name
        media_type = _media_type(head.sent(b"content-type")) or ""
        body = JsonBody(content, len(content), media_type)
        path = head.target.decode()
        request = ApiRequest(self._dispatcher.gateway, ("POST", path), headers, peer, body)
        try:
            response = await _ENDPOINTS[head.target](request)
        except Exception as error:
            response = _failure(error, request)
        seconds = time.perf_counter() - start
        self._record(path, response.status, response.reason, seconds)
        return response


def _media_type(sent: list[bytes]) -> str | None:
    """Return the media type of the body, empty without a type; None of one that is not JSON."""
    return _MEDIA_TYPES.get(sent[0].lower()) if sent else ""


def _failure(error: Exception, request: ApiRequest) -> Response:
    """Record a refusal or a failure, and return its response."""
    record = request.gateway.services.record
    if isinstance(error, AuthgwError):
        record(refusal_event(error, request.id, request.client_address, request.target))
        return problem(error.code, request.id, detail=error.detail, retry_after=error.retry_after)
    record(failure_event(error, request.id, request.client_address, request.target))
    return problem("internal_error", request.id)
