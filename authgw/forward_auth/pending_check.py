"""A check under way."""

from authgw.core.audit import AuditRecorder, Target
from authgw.core.model import AccessRequest
from authgw.dialects import headers
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.headers import IndexedHeaders
from authgw.forward_auth.context import CheckContext
from authgw.forward_auth.decision_cache import CheckKey
from authgw.forward_auth.own_target import own_target
from authgw.forward_auth.request_ids import id_of, request_id
from authgw.forward_auth.response_bytes import Response


class PendingCheck:
    """A request with its dialect, and values that are computed once.

    `key` are its keys in the cache, None if it must be checked completely.
    """

    __slots__ = (
        "_client_address",
        "_context",
        "_headers",
        "_request",
        "_request_id",
        "dialect",
        "key",
    )

    def __init__(
        self, context: CheckContext, sent: Subrequest | CheckKey, dialect: Dialect
    ) -> None:
        self._context = context
        self.dialect = dialect
        self.key = sent if isinstance(sent, CheckKey) else None
        self._request = sent if isinstance(sent, Subrequest) else None
        self._headers: IndexedHeaders | None = None
        self._request_id = ""
        self._client_address = ""

    @property
    def request(self) -> Subrequest:
        """The request of the proxy, or the direct check."""
        if self._request is None:
            assert self.key is not None  # noqa: S101  either is given
            self._request = self.key.request
        return self._request

    @property
    def headers(self) -> IndexedHeaders:
        """The headers, indexed by name."""
        if self._headers is None:
            self._headers = IndexedHeaders.of(self.request.headers)
        return self._headers

    @property
    def request_id(self) -> str:
        """The id of the request."""
        if not self._request_id:
            self._request_id = self._read_request_id()
        return self._request_id

    def _read_request_id(self) -> str:
        trusted = self._context.policy.trusted
        if self.key is None:
            return request_id(self.request.headers, self.request.peer, trusted)
        return id_of(self.key.request_id, self.key.target[0], trusted)

    @property
    def client_address(self) -> str:
        """The address of the client according to the trusted proxies."""
        if not self._client_address:
            request, trusted = self.request, self._context.policy.trusted
            self._client_address = headers.client_address(request.headers, request.peer, trusted)
        return self._client_address

    @client_address.setter
    def client_address(self, address: str) -> None:
        self._client_address = address

    @property
    def own_target(self) -> Target:
        """The target of the request to the gateway itself, which is not the original request."""
        return own_target(self.request.method, self.request.raw_path, self.request.headers)

    @property
    def record(self) -> AuditRecorder:
        """The recorder of events."""
        return self._context.record

    def describe(self) -> AccessRequest:
        """Return the client's original request.

        Raises:
            AuthgwError: as `Dialect.describe`.
        """
        policy, sent = self._context.policy, self.request
        request = Subrequest(sent.method, sent.raw_path, self.headers, sent.peer)
        access = self.dialect.describe(request, policy.trusted, policy.identity)
        return policy.sites.with_public_scheme(access)

    def identified(self, refusal: Response) -> Response:
        """Return a refusal with the id of this request, by which users can report it."""
        status, headers, body, _, reason, prepared = refusal
        own = (("X-Request-ID", self.request_id),)
        if not body:
            return Response(status, headers, body, own, reason, prepared)
        text = body + f", request {self.request_id}\n".encode()
        plain = ("Content-Type", "text/plain; charset=utf-8")
        return Response(status, (*headers, plain), text, own, reason)
