"""Exceptions for refusals; `core.reasons` has the table of their codes."""

from typing import Self

from authgw.core.reasons import CAUSES, REASONS


class OperatorError(ValueError):
    """Raised for a file, key or store of the operator that must not be used as it is.

    The message names the cause and the remedy.
    """


class AuthgwError(Exception):
    """Base class of refusals with a stable `code` from `REASONS`; `detail` contains no secret.

    `sub` and `sid` identify the subject and the session, as far as a verified token or record
    names them. `cause`, a code of `CAUSES`, and `note`, by default its meaning, are for the log
    only; `log_fields` are further fields of the event. `retry_after` is in seconds.
    """

    code = "token_invalid"
    cause = ""
    log_fields: tuple[tuple[str, str | int], ...] = ()
    retry_after: float | None = None

    def __init__(
        self, detail: str = "", *, sub: str = "", sid: str = "", note: str = "", cause: str = ""
    ) -> None:
        self.detail = detail or REASONS[self.code].meaning
        self.sub = sub
        self.sid = sid
        self.cause = cause or self.cause
        self.note = note or CAUSES.get(self.cause, "")
        super().__init__()

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    def without_frames(self) -> Self:
        """Drop the frames that raised the error; return it.

        A caller of these frames that keeps the error is in a cycle with them, which only the
        garbage collector finds: for denials, a tenth of their time.
        """
        self.__traceback__ = self.__context__ = None
        return self

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
    """Raised when a user cannot spend a recovery code or change a link in the users file."""

    code = "users_file_unwritable"


class BackendUnknownError(AuthgwError):
    """Raised when the id or the secret of a trusted backend is wrong."""

    code = "client_unknown"


class TooManyFailuresError(AuthgwError):
    """Raised when a login is throttled."""

    code = "too_many_failures"
    retry_after: float

    def __init__(self, retry_after: float, *, sub: str = "", cause: str = "") -> None:
        self.retry_after = retry_after
        super().__init__(sub=sub, cause=cause)


class TooBusyError(TooManyFailuresError):
    """Raised when the queue of password hashes is full."""

    code = "too_busy"
    cause = "busy"


class LoginFailedError(AuthgwError):
    """Raised when a user name, password or code is wrong.

    `code_age` is the age of a code outside of its time in seconds, negative if it is too early.
    """

    code = "login_failed"

    def __init__(
        self, *, cause: str, sub: str = "", note: str = "", code_age: int | None = None
    ) -> None:
        if code_age is not None:
            self.log_fields = (("authgw.code_age", code_age),)
        super().__init__(sub=sub, note=note, cause=cause)


class PasswordsOffError(AuthgwError):
    """Raised for a login by password if `login.passwords` is false."""

    code = "passwords_off"


class RescueInvalidError(AuthgwError):
    """Raised for a rescue link that is not valid, has expired or was used."""

    code = "rescue_invalid"


class TotpRequiredError(AuthgwError):
    """Raised when a login needs a second factor."""

    code = "totp_required"


class RecheckRequiredError(AuthgwError):
    """Raised when the identity provider has to confirm a session again."""

    code = "recheck"


class FlowInvalidError(AuthgwError):
    """Raised when a response of an identity provider is not that of a login of this browser."""

    code = "flow_invalid"


class ProviderRefusedError(AuthgwError):
    """Raised when an account of an identity provider may not log in."""

    code = "provider_refused"


class ProviderUnavailableError(AuthgwError):
    """Raised when an identity provider is unreachable or its response is not valid."""

    code = "provider_unavailable"


class LogoutTokenInvalidError(AuthgwError):
    """Raised when a logout token of an identity provider is not valid."""

    code = "logout_token_invalid"


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
