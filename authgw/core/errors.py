"""Refusals of authgw and their stable codes.

`REASONS` is the only table of codes: responses, log lines and documentation take their texts from
it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Meaning of a code: HTTP status of the response, description, and remedy for the caller."""

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
    "client_unknown": Reason(
        401, "client id or secret is missing or wrong", "send them by HTTP Basic"
    ),
    "login_failed": Reason(401, "user name, password or code is wrong", "correct them"),
    "totp_required": Reason(401, "a second factor is needed", "log in with a code"),
    "credentials_ambiguous": Reason(
        401, "the credentials belong to different sessions", "send one of them"
    ),
    "app_password_refused": Reason(
        401,
        "the app password is unknown, has expired, or is not for this path",
        "make one for this path",
    ),
    "too_many_failures": Reason(429, "too many failed attempts", "wait as Retry-After says"),
    "too_busy": Reason(429, "too many log-ins at once", "wait as Retry-After says"),
    "cross_site": Reason(
        403, "the form came from another site, or is too old", "open the page again"
    ),
    "client_forbidden": Reason(
        403, "the client may not do this", "widen its entry in the clients file"
    ),
    "request_malformed": Reason(
        400, "the request is not valid HTTP/1.0 or HTTP/1.1", "correct the request"
    ),
    "expectation_failed": Reason(
        417, "Expect asks for more than 100-continue", "send Expect: 100-continue, or no Expect"
    ),
    "body_malformed": Reason(400, "the body is not what this endpoint takes", "correct the body"),
    "body_too_large": Reason(413, "the body is over 16 KiB, or over 32 KiB as a form", "send less"),
    "body_too_slow": Reason(408, "the body was not there in time", "send it at once"),
    "body_unsupported": Reason(
        415, "the body is not plain application/json", "send Content-Type: application/json"
    ),
    "credentials_conflict": Reason(
        400, "the token came in the header and in the body", "send one of the two"
    ),
    "misdirected": Reason(421, "no login page has this host", "use the address of login.url"),
    "not_found": Reason(404, "there is no such page", "check the path"),
    "method_not_allowed": Reason(405, "this page takes other methods", "see Allow"),
    "internal_error": Reason(500, "authgw failed; its log says why", "retry"),
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
    "direct_check_off": Reason(
        403,
        "Denied: rules exist, but X-Original-URL is missing. In the auth location add: "
        "proxy_set_header X-Original-URL $authgw_scheme://$authgw_authority$request_uri;",
        "complete the proxy's recipe",
    ),
    "no_rule": Reason(403, "no rule matches the request", "add a rule for it"),
    "not_permitted": Reason(
        403,
        "the rule for this page names neither this subject nor one of its groups",
        "ask for the right",
    ),
    "programs_only": Reason(
        403,
        "the rule for this page takes no login of a browser",
        "send a credential that the rule takes",
    ),
    "path_ambiguous": Reason(
        403, "servers could disagree about where the path leads", "send the path plainly"
    ),
    "destination_denied": Reason(
        403,
        "the Destination of a COPY or MOVE is missing, on another host, or not allowed to be "
        "written",
        "name one place that you may write to",
    ),
    "override_denied": Reason(
        403,
        "a header names another method or path for the same request, which is not allowed",
        "send the request plainly",
    ),
    "host_conflict": Reason(
        403, "the request line and the Host header name different hosts", "correct the request"
    ),
    "wrong_dialect": Reason(
        403,
        "X-Forwarded-Uri arrived at /authenticate, which is NGINX's. "
        "Traefik and Caddy ask /authenticate/forward.",
        "Traefik and Caddy ask /authenticate/forward",
    ),
    "keys_not_shared": Reason(
        503, "this replica may not sign: the others lack its key, or it lacks theirs", "retry"
    ),
    "store_unavailable": Reason(503, "the session store cannot be reached", "retry"),
    "users_file_unwritable": Reason(
        503,
        "recovery codes cannot be used now: the users file cannot be changed",
        "use a code of the authenticator app; authgw's log says what to mount",
    ),
}


class OperatorError(ValueError):
    """Raised for a file, key or store of the operator that must not be used as it is.

    The message names the cause and the remedy.
    """


class AuthgwError(Exception):
    """Base class of refusals with a stable `code` from `REASONS`; `detail` contains no secret.

    `sub` and `sid` identify the subject and the session, as far as a verified token or record
    names them. `note` is for the log only.
    """

    code = "token_invalid"

    def __init__(self, detail: str = "", *, sub: str = "", sid: str = "", note: str = "") -> None:
        self.detail = detail or REASONS[self.code].meaning
        self.sub = sub
        self.sid = sid
        self.note = note
        super().__init__(f"{self.code}: {self.detail}")

    @property
    def status(self) -> int:
        """HTTP status of this refusal."""
        return REASONS[self.code].status


class TokenMissingError(AuthgwError):
    """Raised when a request has no access token."""

    code = "token_missing"


class AuthorizationMalformedError(AuthgwError):
    """Raised when the Authorization lines that count are not a single valid credential."""

    code = "authorization_malformed"


class TokenMalformedError(AuthgwError):
    """Raised when a token is not a canonical JWS in compact form."""

    code = "token_malformed"


class TokenInvalidError(AuthgwError):
    """Raised when the signature, key, issuer, audience or a claim of a token is not valid."""

    code = "token_invalid"


class TokenWrongTypeError(AuthgwError):
    """Raised when a valid token has a type that the endpoint does not accept."""

    code = "token_wrong_type"


class TokenExpiredError(AuthgwError):
    """Raised when a token has expired."""

    code = "token_expired"


class TokenNotYetValidError(AuthgwError):
    """Raised when the `iat` or `nbf` of a token is in the future."""

    code = "token_not_yet_valid"


class SessionEndedError(AuthgwError):
    """Raised when a session was logged out, was revoked or has expired."""

    code = "session_ended"


class RefreshReusedError(AuthgwError):
    """Raised when a refresh token was used before; its session is revoked."""

    code = "refresh_reused"


class UntrustedProxyError(AuthgwError):
    """Raised when a subrequest arrives from a peer outside `server.trusted_proxies`."""

    code = "untrusted_proxy"


class IdentityHeaderFromClientError(AuthgwError):
    """Raised when the client sent an identity header."""

    code = "identity_header_from_client"


class TargetMissingError(AuthgwError):
    """Raised when a header about the original request is missing."""

    code = "target_missing"


class TargetMalformedError(AuthgwError):
    """Raised when a header about the original request cannot be parsed."""

    code = "target_malformed"


class TargetDuplicatedError(AuthgwError):
    """Raised when a header about the original request is duplicated."""

    code = "target_duplicated"


class DestinationDeniedError(AuthgwError):
    """Raised when a COPY or MOVE does not name a single Destination on the same host."""

    code = "destination_denied"


class OverrideDeniedError(AuthgwError):
    """Raised when headers that override method or path cannot be parsed or are too many."""

    code = "override_denied"


class DirectCheckOffError(AuthgwError):
    """Raised for a direct check without X-Original-URL while access rules exist."""

    code = "direct_check_off"


class HostConflictError(AuthgwError):
    """Raised when the request line and the Host header name different hosts."""

    code = "host_conflict"


class WrongDialectError(AuthgwError):
    """Raised when a proxy calls the endpoint of another proxy's dialect."""

    code = "wrong_dialect"


class KeysNotSharedError(AuthgwError):
    """Raised when this replica must not sign, because replicas have different keys."""

    code = "keys_not_shared"


class StoreUnavailableError(AuthgwError):
    """Raised when the session store is unreachable or the outcome is unknown."""

    code = "store_unavailable"


class UsersFileUnwritableError(AuthgwError):
    """Raised when a recovery code cannot be removed from the users file."""

    code = "users_file_unwritable"


class BackendUnknownError(AuthgwError):
    """Raised when the id or the secret of a trusted backend is wrong."""

    code = "client_unknown"


class TooManyFailuresError(AuthgwError):
    """Raised when a login is throttled; `retry_after` is in seconds."""

    code = "too_many_failures"

    def __init__(self, retry_after: float, *, sub: str = "") -> None:
        self.retry_after = retry_after
        super().__init__(sub=sub)


class TooBusyError(TooManyFailuresError):
    """Raised when the queue of password hashes is full; `retry_after` is in seconds."""

    code = "too_busy"


class LoginFailedError(AuthgwError):
    """Raised when a user name, password or code is wrong."""

    code = "login_failed"


class TotpRequiredError(AuthgwError):
    """Raised when a login needs a second factor."""

    code = "totp_required"


class CredentialsAmbiguousError(AuthgwError):
    """Raised when the credentials of a request belong to different sessions."""

    code = "credentials_ambiguous"


class AppPasswordRefusedError(AuthgwError):
    """Raised when an app password is unknown, expired or not valid for the path."""

    code = "app_password_refused"


class CrossSiteError(AuthgwError):
    """Raised when a form was sent from another site or its CSRF token is too old."""

    code = "cross_site"


class MisdirectedError(AuthgwError):
    """Raised when no login site has the host of the request."""

    code = "misdirected"


class BackendForbiddenError(AuthgwError):
    """Raised when the entry of a trusted backend does not permit the request."""

    code = "client_forbidden"


class RequestMalformedError(AuthgwError):
    """Raised when a request is not valid HTTP/1.0 or HTTP/1.1."""

    code = "request_malformed"


class ExpectationFailedError(AuthgwError):
    """Raised for an Expect header other than `100-continue`."""

    code = "expectation_failed"


class BodyMalformedError(AuthgwError):
    """Raised when the body is not valid for the endpoint."""

    code = "body_malformed"


class BodyTooLargeError(AuthgwError):
    """Raised when the body exceeds the size limit of its type."""

    code = "body_too_large"


class BodyTooSlowError(AuthgwError):
    """Raised when the body does not arrive before the timeout."""

    code = "body_too_slow"


class BodyUnsupportedError(AuthgwError):
    """Raised when the body is not plain `application/json`."""

    code = "body_unsupported"


class CredentialsConflictError(AuthgwError):
    """Raised when a token was sent in the header and in the body."""

    code = "credentials_conflict"
