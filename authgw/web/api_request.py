"""Requests for the JSON endpoints, independent of the HTTP server that received them."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from authgw.core.audit import Event, Fields, Target
from authgw.core.limits import MAX_USER_AGENT_LENGTH
from authgw.core.sessions import Device
from authgw.dialects.headers import RawHeaders, client_address, values
from authgw.forward_auth.own_target import own_target
from authgw.forward_auth.request_ids import request_id
from authgw.web.context import Gateway


class JsonBody(NamedTuple):
    """The body of a request, received or still to be read.

    `length` is None if unknown. `media_type` has no parameters; it is empty without a Content-Type.
    """

    content: bytes | Callable[[], Awaitable[bytes]] = b""
    length: int | None = 0
    media_type: str = ""
    is_compressed: bool = False
    is_from_browser: bool = False

    async def read(self) -> bytes:
        """Return all bytes.

        Raises:
            BodyTooLargeError, BodyTooSlowError, BodyMalformedError: it cannot be read.
        """
        return self.content if isinstance(self.content, bytes) else await self.content()


class ApiRequest:
    """A request with this method and path, and the gateway that handles it."""

    __slots__ = ("_address", "_id", "_line", "_peer", "body", "gateway", "headers")

    def __init__(
        self,
        gateway: Gateway,
        line: tuple[str, str],
        headers: RawHeaders,
        peer: str,
        body: JsonBody,
        known_id: str | None = None,
    ) -> None:
        self.gateway = gateway
        self._line = line
        self.headers = headers
        self.body = body
        self._peer = peer
        self._id = known_id
        self._address: str | None = None

    @property
    def client_address(self) -> str:
        """The address of the client according to the trusted proxies."""
        if self._address is None:
            trusted = self.gateway.policy.trusted
            self._address = client_address(self.headers, self._peer, trusted)
        return self._address

    @property
    def id(self) -> str:
        """The X-Request-ID of a trusted proxy, else a random id."""
        if self._id is None:
            self._id = request_id(self.headers, self._peer, self.gateway.policy.trusted)
        return self._id

    @property
    def target(self) -> Target:
        """Method, host and path, for events."""
        return own_target(*self._line, self.headers)

    @property
    def device(self) -> Device:
        """The device that sent the request, as a session stores it."""
        agents = values(self.headers, "User-Agent")
        agent = agents[0].decode("utf-8", "surrogateescape") if agents else ""
        stored = agent[:MAX_USER_AGENT_LENGTH].encode("utf-8", "replace").decode()
        return Device(stored, self.client_address)

    def record(
        self,
        name: str,
        *,
        sub: str = "",
        sid: str = "",
        sentence: str = "",
        credential: str = "",
        more: Fields = (),
    ) -> None:
        """Record an event about this request."""
        event = Event(
            name,
            self.id,
            self.client_address,
            sub,
            sid,
            sentence=sentence,
            target=self.target,
            credential=credential,
            more=more,
        )
        self.gateway.services.record(event)
