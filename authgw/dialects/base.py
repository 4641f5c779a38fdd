"""The interface of dialects: a proxy's subrequest, and the response that this proxy expects."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from authgw.core.model import (
    AccessRequest,
    Decision,
    IdentityHeaders,
    Location,
    ProxyResponse,
    Verdict,
)
from authgw.core.networks import TrustedProxies
from authgw.dialects.headers import (
    RawHeaders,
    access_request,
    refuse_identity,
    refuse_untrusted,
)
from authgw.dialects.responses import allowed


@dataclass(frozen=True, slots=True)
class Subrequest:
    """A request that a proxy sent to this gateway; `peer` is an address, or `unix`."""

    method: str
    raw_path: str
    headers: RawHeaders
    peer: str


class Dialect(ABC):
    """A kind of proxy: how it describes its client's request, and which responses it supports.

    Attributes:
        name: the name of the dialect.
        path: the path of its subrequests, as in `core.endpoints`.
        target_headers: the headers in which the proxy describes the original request. No client may
            send them: NGINX's recipe sets or clears the headers of all dialects.
        other_dialect_headers: headers that show a subrequest of another dialect.
        own_header: the header, in lower case, in which the proxy itself sends the URL.
        removes_cookies: the proxy keeps this gateway's cookies from the app. A proxy that cannot
            remove a cookie from a header replaces the whole header by that of the response.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    target_headers: ClassVar[tuple[str, ...]] = ()
    other_dialect_headers: ClassVar[tuple[str, ...]] = ()
    own_header: ClassVar[bytes] = b""
    removes_cookies: ClassVar[bool] = False

    def describe(
        self, subrequest: Subrequest, trusted: TrustedProxies, identity: IdentityHeaders
    ) -> AccessRequest:
        """Return the client's original request, which a trusted proxy describes.

        Raises:
            UntrustedProxyError: the peer is not a trusted proxy.
            WrongDialectError: the headers are those of another dialect.
            IdentityHeaderFromClientError: the client sent an identity header.
            TargetMissingError, TargetDuplicatedError, TargetMalformedError, HostConflictError,
                OverrideDeniedError, DestinationDeniedError: see their codes.
        """
        headers, peer = subrequest.headers, subrequest.peer
        expected = (*self.target_headers, *self.other_dialect_headers)
        refuse_untrusted(headers, peer, trusted, expected)
        self.refuse_other_dialects(headers)
        refuse_identity(headers, identity)
        method, location = self.target(subrequest)
        return access_request(
            headers, method, location, peer=peer, trusted=trusted, own=self.own_header
        )

    def is_subrequest(self, headers: RawHeaders) -> bool:
        """Return False for a direct check, which describes no original request."""
        return True

    def refuse_other_dialects(self, headers: RawHeaders) -> None:  # noqa: B027  optional
        """Refuse a subrequest of another dialect, where its headers show it.

        Raises:
            WrongDialectError: the headers are those of another dialect.
        """

    @abstractmethod
    def target(self, subrequest: Subrequest) -> tuple[str, Location]:
        """Return method and target of the original request.

        Raises:
            TargetMissingError, TargetDuplicatedError, TargetMalformedError, HostConflictError: see
                their codes.
        """

    def render(
        self,
        decision: Decision,
        access: AccessRequest | None,
        *,
        identity: IdentityHeaders,
        login_url: str | None = None,
    ) -> ProxyResponse:
        """Return the response for the proxy; `access` is None if it could not be described."""
        if decision.verdict is Verdict.ALLOW:
            return allowed(decision.principal, identity)
        return self.refuse(decision, access, login_url)

    @abstractmethod
    def refuse(
        self, decision: Decision, access: AccessRequest | None, login_url: str | None
    ) -> ProxyResponse:
        """Return the response to a request that is denied or needs a login."""
