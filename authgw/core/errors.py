"""Every refusal that authgw gives, with its stable code.

`REASONS` is the one table of codes; whatever a client, a log line or a document says about a
refusal comes from it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """What a code means: the HTTP status it is answered with and what the caller should do."""

    status: int
    meaning: str
    remedy: str


REASONS: dict[str, Reason] = {
    "token_missing": Reason(401, "no access token was sent", "log in"),
    "authorization_malformed": Reason(
        401, "the Authorization header is not one `Bearer <token>`", "send one Bearer token"
    ),
    "token_malformed": Reason(401, "the token is not a well-formed JWT", "log in"),
    "token_invalid": Reason(
        401, "signature, key, issuer, audience or claims do not hold", "log in"
    ),
    "token_wrong_type": Reason(
        401, "a token of this type is not accepted here", "send the right token"
    ),
    "token_expired": Reason(401, "the token has expired", "refresh"),
    "token_not_yet_valid": Reason(401, "the token is from the future", "check clocks, retry"),
    "session_ended": Reason(401, "the session was logged out, revoked or has expired", "log in"),
    "refresh_reused": Reason(
        401, "the refresh token was used before; its session is revoked", "log in"
    ),
    "untrusted_proxy": Reason(
        403,
        "headers about an original request came from a peer outside server.trusted_proxies",
        "add the proxy's address to server.trusted_proxies",
    ),
    "identity_header_from_client": Reason(
        403, "the client sent an identity header", "do not send identity headers"
    ),
    "target_missing": Reason(
        403, "a header about the original request is missing", "complete the proxy's recipe"
    ),
    "target_malformed": Reason(
        403, "a header about the original request cannot be read", "correct the request"
    ),
    "target_duplicated": Reason(
        403, "a header about the original request came twice", "complete the proxy's recipe"
    ),
    "host_conflict": Reason(
        403, "the request line and the Host header name different hosts", "correct the request"
    ),
    "wrong_dialect": Reason(
        403,
        "X-Forwarded-Uri arrived at /authenticate, which is NGINX's",
        "Traefik and Caddy ask /authenticate/forward",
    ),
    "store_unavailable": Reason(503, "the session store cannot be reached", "retry"),
}


class AuthgwError(Exception):
    """A refusal with a stable `code` from `REASONS`; `detail` never holds a secret."""

    code = "token_invalid"

    def __init__(self, detail: str = "") -> None:
        self.detail = detail or REASONS[self.code].meaning
        super().__init__(f"{self.code}: {self.detail}")

    @property
    def status(self) -> int:
        """The HTTP status of this refusal."""
        return REASONS[self.code].status


class TokenMissing(AuthgwError):
    code = "token_missing"


class AuthorizationMalformed(AuthgwError):
    code = "authorization_malformed"


class TokenMalformed(AuthgwError):
    code = "token_malformed"


class TokenInvalid(AuthgwError):
    code = "token_invalid"


class TokenWrongType(AuthgwError):
    code = "token_wrong_type"


class TokenExpired(AuthgwError):
    code = "token_expired"


class TokenNotYetValid(AuthgwError):
    code = "token_not_yet_valid"


class SessionEnded(AuthgwError):
    code = "session_ended"


class RefreshReused(AuthgwError):
    code = "refresh_reused"


class UntrustedProxy(AuthgwError):
    code = "untrusted_proxy"


class IdentityHeaderFromClient(AuthgwError):
    code = "identity_header_from_client"


class TargetMissing(AuthgwError):
    code = "target_missing"


class TargetMalformed(AuthgwError):
    code = "target_malformed"


class TargetDuplicated(AuthgwError):
    code = "target_duplicated"


class HostConflict(AuthgwError):
    code = "host_conflict"


class WrongDialect(AuthgwError):
    code = "wrong_dialect"


class StoreUnavailable(AuthgwError):
    code = "store_unavailable"
