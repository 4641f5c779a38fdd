"""What every dialect's answer is made of."""

from urllib.parse import quote

from authgw.core.errors import REASONS
from authgw.core.model import (
    AccessRequest,
    Decision,
    IdentityHeaders,
    Principal,
    Reply,
    Verdict,
)

_ERRORS = {
    "authorization_malformed": "invalid_request",
    "credentials_ambiguous": "invalid_request",
    # RFC 9470 section 3
    "totp_required": "insufficient_user_authentication",
}
Headers = tuple[tuple[str, str], ...]
NO_STORE = ("Cache-Control", "no-store")


def allowed(principal: Principal | None, identity: IdentityHeaders) -> Reply:
    """The one answer that lets a request pass, alike for every proxy."""
    return Reply(200, (*_identity_headers(principal, identity), NO_STORE))


def _identity_headers(principal: Principal | None, identity: IdentityHeaders) -> Headers:
    """Who asks, all four always: a header that is missing could be filled by someone else."""
    if principal is None:
        return tuple((name, "") for name in identity.names)
    said = (principal.sub, ",".join(principal.groups), principal.email, principal.name)
    return tuple(zip(identity.names, said, strict=True))


def refusal_headers(decision: Decision) -> Headers:
    """The code of a refusal, and how to authenticate where that would help."""
    headers = (("X-Authgw-Reason", decision.reason), NO_STORE)
    if decision.verdict is Verdict.LOGIN:
        asked = challenge(decision.reason)
        # In one header, and Basic first: NGINX hands on one, and programs look at the first.
        asked = f'Basic realm="authgw", {asked}' if decision.takes_basic else asked
        return (("WWW-Authenticate", asked), *headers)
    return (*headers, ("Retry-After", "1")) if is_outage(decision) else headers


def is_outage(decision: Decision) -> bool:
    """Whether this is refused only because nobody can say now."""
    return decision.reason in REASONS and REASONS[decision.reason].status == 503


def login_location(access: AccessRequest | None, login_url: str | None) -> str | None:
    """Where a browser that navigates is sent to log in, with the way back as `rd`."""
    if access is None or login_url is None or not access.wants_html:
        return None
    return f"{login_url}{'&' if '?' in login_url else '?'}rd={way_back(access)}"


def way_back(access: AccessRequest) -> str:
    """The address that was asked for, as the value of `rd`."""
    return quote(access.location.url.encode("utf-8", "surrogateescape"), safe="")


def challenge(reason: str) -> str:
    """The WWW-Authenticate of a 401 for this reason (RFC 6750 section 3)."""
    # RFC 6750 section 3.1: no error code when no token was sent.
    if reason in ("token_missing", "login_failed"):
        return 'Bearer realm="authgw"'
    return f'Bearer realm="authgw", error="{_ERRORS.get(reason, "invalid_token")}"'
