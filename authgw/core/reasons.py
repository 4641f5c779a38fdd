"""Reasons of refusals: the only table of their codes.

Responses, challenges, log lines, metrics and documentation read the properties of a reason from
its entry here.
"""

import math
from dataclasses import dataclass

from authgw.core.model import Verdict
from authgw.core.provider_causes import PROVIDER_CAUSES


@dataclass(frozen=True, slots=True)
class Reason:
    """Properties of a code.

    `status` is the HTTP status of the response, `remedy` is for the caller. `oauth_error` is the
    error of a Bearer challenge (RFC 6750 section 3.1, RFC 9470 section 3), empty for a challenge
    without an error, as if no token was sent; each 401 has it unless its `scheme` is Basic. `event`
    is the audit event outside of a check. `login_outcome` marks the results of a login, whose
    metrics exist from the start. `misconfiguration` marks denials that point to a wrong proxy
    configuration.
    """

    status: int
    meaning: str
    remedy: str
    oauth_error: str | None = None
    scheme: str = "Bearer"
    event: str = "deny"
    login_outcome: bool = False
    misconfiguration: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict of a check that is refused for this reason."""
        return Verdict.LOGIN if self.status == 401 else Verdict.DENY

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate in a 401 for this reason."""
        error = f', error="{self.oauth_error}"' if self.oauth_error else ""
        return f'{self.scheme} realm="authgw"{error}'


REASONS: dict[str, Reason] = {
    "token_missing": Reason(401, "no access token was sent", "log in", oauth_error=""),
    "authorization_malformed": Reason(
        401,
        "the Authorization header is not a single `Bearer <token>`",
        "send a single Bearer token",
        oauth_error="invalid_request",
    ),
    "token_malformed": Reason(
        401, "the token is not a well-formed JWT", "log in", oauth_error="invalid_token"
    ),
    "token_invalid": Reason(
        401,
        "the signature, key, issuer, audience or a claim of the token is not valid",
        "log in",
        oauth_error="invalid_token",
    ),
    "token_wrong_type": Reason(
        401,
        "a token of this type is not accepted here",
        "send an access token, or a refresh token to /refresh",
        oauth_error="invalid_token",
    ),
    "token_expired": Reason(
        401, "the token has expired", "refresh it, or log in", oauth_error="invalid_token"
    ),
    "token_not_yet_valid": Reason(
        401,
        "the token is from the future",
        "check the clocks, then retry",
        oauth_error="invalid_token",
    ),
    "session_ended": Reason(
        401,
        "the session was logged out, revoked or has expired",
        "log in",
        oauth_error="invalid_token",
    ),
    "refresh_reused": Reason(
        401,
        "the refresh token was used before; its session is revoked",
        "log in",
        oauth_error="invalid_token",
        event="refresh_reuse",
    ),
    "client_unknown": Reason(
        401,
        "client id or secret is missing or wrong",
        "send them by HTTP Basic",
        scheme="Basic",
        event="login_failure",
    ),
    "login_failed": Reason(
        401,
        "user name, password or code is wrong",
        "correct them",
        oauth_error="",
        event="login_failure",
        login_outcome=True,
    ),
    "passwords_off": Reason(
        403,
        "users log in with an identity provider here, not by password",
        "log in with an identity provider",
        event="login_failure",
        login_outcome=True,
    ),
    "rescue_invalid": Reason(
        400,
        "the rescue link is not valid, has expired or was used before",
        "make a new link with `authgw user rescue`",
        event="login_failure",
        login_outcome=True,
    ),
    "totp_required": Reason(
        401,
        "a second factor is needed",
        "log in with a code",
        oauth_error="insufficient_user_authentication",
        event="login_failure",
        login_outcome=True,
    ),
    "recheck": Reason(
        401,
        "the identity provider has to confirm this session",
        "open the page in a browser, or log in again",
        oauth_error="invalid_token",
    ),
    "flow_invalid": Reason(
        400,
        "the response of the identity provider belongs to no login of this browser, or is not "
        "valid",
        "start the login again",
        event="login_failure",
        login_outcome=True,
    ),
    "provider_refused": Reason(
        403,
        "this account of the identity provider may not log in here",
        "use another account, or ask an administrator",
        event="login_failure",
        login_outcome=True,
    ),
    "provider_unavailable": Reason(
        503,
        "the identity provider cannot be reached, or does not respond as it should",
        "retry",
        event="login_failure",
        login_outcome=True,
    ),
    "logout_token_invalid": Reason(
        400, "the logout token is not valid", "send the logout token of the configured issuer"
    ),
    "credentials_ambiguous": Reason(
        401,
        "the credentials belong to different sessions",
        "send a single credential",
        oauth_error="invalid_request",
    ),
    "app_password_refused": Reason(
        401,
        "the app password is unknown, has expired, or is not for this path",
        "make an app password for this path",
        oauth_error="invalid_token",
    ),
    "too_many_failures": Reason(
        429,
        "too many failed attempts",
        "retry after the seconds of Retry-After",
        event="login_failure",
        login_outcome=True,
    ),
    "too_busy": Reason(
        429,
        "too many logins at the same time",
        "retry after the seconds of Retry-After",
        event="login_failure",
        login_outcome=True,
    ),
    "cross_site": Reason(
        403, "the form came from another site, or is too old", "open the page again"
    ),
    "client_forbidden": Reason(
        403,
        "the client is not permitted to do this",
        "extend its entry in the clients file",
        event="login_failure",
    ),
    "request_malformed": Reason(
        400, "the request is not valid HTTP/1.0 or HTTP/1.1", "correct the request"
    ),
    "expectation_failed": Reason(
        417, "Expect contains more than 100-continue", "send Expect: 100-continue, or no Expect"
    ),
    "body_malformed": Reason(400, "the body is not valid for this endpoint", "correct the body"),
    "body_too_large": Reason(413, "the body is over 16 KiB, or over 32 KiB as a form", "send less"),
    "body_too_slow": Reason(408, "the body did not arrive in time", "send it without a pause"),
    "body_unsupported": Reason(
        415, "the body is not plain application/json", "send Content-Type: application/json"
    ),
    "credentials_conflict": Reason(
        400, "the token was sent in the header and in the body", "send it once"
    ),
    "misdirected": Reason(421, "no login page has this host", "use the address of login.url"),
    "not_found": Reason(404, "this page does not exist", "check the path"),
    "method_not_allowed": Reason(405, "this page takes other methods", "see Allow"),
    "internal_error": Reason(500, "authgw failed; its log has the cause", "retry", event="failure"),
    "untrusted_proxy": Reason(
        403,
        "headers about an original request were sent by a peer outside server.trusted_proxies",
        "add the proxy's address to server.trusted_proxies",
        misconfiguration=True,
    ),
    "identity_header_from_client": Reason(
        403,
        "the client sent an identity header",
        "do not send identity headers",
        misconfiguration=True,
    ),
    "target_missing": Reason(
        403, "a header about the original request is missing", "complete the proxy's recipe"
    ),
    "target_malformed": Reason(
        403, "a header about the original request cannot be parsed", "correct the request"
    ),
    "target_duplicated": Reason(
        403, "a header about the original request is duplicated", "complete the proxy's recipe"
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
        "this page is for other users and groups",
        "ask an administrator for access",
    ),
    "factor_unsupported": Reason(
        403,
        "this page requires a second factor, which the identity provider of this login did not "
        "confirm",
        "log in again with a second factor at the identity provider",
    ),
    "programs_only": Reason(
        403,
        "the rule for this page does not accept a login by browser",
        "send a credential that the rule accepts",
    ),
    "path_ambiguous": Reason(
        403,
        "servers could read the path in different ways",
        "send the path without encoding that it does not need",
    ),
    "destination_denied": Reason(
        403,
        "the Destination of a COPY or MOVE is missing, on another host, or not allowed to be "
        "written",
        "name a single place that you may write to",
    ),
    "override_denied": Reason(
        403,
        "a header names another method or path for the same request, which is not allowed",
        "send the request without this header",
    ),
    "host_conflict": Reason(
        403, "the request line and the Host header name different hosts", "correct the request"
    ),
    "wrong_dialect": Reason(
        403,
        "X-Forwarded-Uri arrived at /authenticate, which is for NGINX. "
        "Traefik and Caddy use /authenticate/forward.",
        "use /authenticate/forward for Traefik and Caddy",
        misconfiguration=True,
    ),
    "keys_not_shared": Reason(
        503, "this replica must not sign, since replicas have different keys", "retry"
    ),
    "store_unavailable": Reason(503, "the session store cannot be reached", "retry"),
    "users_file_unwritable": Reason(
        503,
        "recovery codes cannot be used now, nor links changed: the users file is read-only",
        "use a code of the authenticator app; authgw's log has the remedy",
    ),
}


# Precise causes of refusals, for log and metrics only: to a client all of them look alike.
CAUSES: dict[str, str] = {
    "unknown_user": "the users file has no user of this name",
    "disabled": "the user is disabled",
    "password": "the password is wrong",
    "code": "the code is wrong",
    "code_late": "the code is of an earlier time: check clocks",
    "code_early": "the code is of a later time: check clocks",
    "code_reused": "the code was used before",
    "code_missing": "the program sent no code",
    "totp_not_set_up": "the user has not set up a second factor",
    "throttled_name": "too many failures for this name from this address or device",
    "throttled_address": "too many failures from this address",
    "throttled_code": "too many wrong codes of this user",
    "throttled_client": "too many wrong secrets of this client from this address",
    "busy": "too many passwords are being verified",
    "client_missing": "the request has no credentials of a client",
    "client_unknown": "the clients file has no client of this name",
    "client_secret": "the secret of the client is wrong",
    "client_address": "the client may not connect from this address",
    "client_subject": "the client may not open sessions of this subject",
    "client_group": "the client may not grant these groups",
    "subject_is_user": "the subject is in the users file, so only its password opens a session",
    "subject_reserved": "the subject is in the name space of another source, or is bound to an "
    "account of an identity provider",
    "app_password": "no user has this app password",
    "app_password_user": "the app password belongs to another user than the request names",
    "app_password_expired": "the app password has expired",
    "app_passwords_off": "login.app_passwords is false",
    "rescue_malformed": "the ticket of the link is not valid",
    "rescue_expired": "the link has expired",
    "rescue_other_password": "the user has another password since, or is not in the users file",
    "rescue_used": "the link was used before",
    "app_password_path": "the app password is not for this path",
    "flow_parameters": "the response of the provider has not exactly one code or error, or a "
    "parameter twice",
    "flow_state": "the response of the provider has no valid state, or that of another flow",
    "flow_iss": "the response of the provider names another issuer, or none although it must",
    "flow_cookie": "the browser sent no valid cookie of this flow: cookies are blocked or were "
    "cleared, or the login began in another browser",
    "flow_expired": "the login at the provider took too long",
    "flow_spent": "the response of the provider was used before",
    "flow_site": "the login began on another login page, or at another provider",
    "flow_session": "the session that began the flow has ended, or another session is there",
    "flow_account": "the account is not that of the session that began the flow",
    "renewal_refused": "the provider refused the refresh token of the session, twice",
    "renewal_account": "the provider reported another account for the session",
    "renewal_identity": "the account has another name or link than at the login",
    "form_token": "the form has no valid token: cookies are blocked or were cleared, or it was too "
    "old",
    "form_origin": "a page of another site sent the form",
    "not_navigation": "a script, a frame or a prefetch requested a page that is for navigations",
    "form_http": "the login page is reached by http, over which browsers keep no session cookie",
}
CAUSES |= PROVIDER_CAUSES


def refusal_headers(
    code: str,
    *,
    status: int | None = None,
    accepts_basic: bool = False,
    retry_after: float | None = None,
    request_id: str = "",
) -> dict[str, str]:
    """Return the headers that every refusal has.

    Args:
        code: The code of its reason.
        status: The status of the response if it differs from that of the reason.
        accepts_basic: Offer Basic as well.
        retry_after: Seconds until another attempt can succeed; 1 for a 503.
        request_id: The id of the request, empty if the caller sends it itself.
    """
    reason = REASONS[code]
    status = reason.status if status is None else status
    headers = {}
    if status == 401:
        # Both in the same header, Basic first: NGINX passes on a single header, and programs only
        # read the first challenge.
        basic = 'Basic realm="authgw", ' if accepts_basic else ""
        headers["WWW-Authenticate"] = basic + reason.challenge
    headers |= {"X-Authgw-Reason": code, "Cache-Control": "no-store"}
    if request_id:
        headers["X-Request-ID"] = request_id
    if status == 503 and retry_after is None:
        retry_after = 1.0
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    return headers
