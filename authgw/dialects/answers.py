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
        return (("WWW-Authenticate", challenge(decision.reason)), *headers)
    return (*headers, ("Retry-After", "1")) if is_outage(decision) else headers


def is_outage(decision: Decision) -> bool:
    """Whether this is refused only because nobody can say now."""
    return decision.reason in REASONS and REASONS[decision.reason].status == 503


def login_location(access: AccessRequest | None, login_url: str | None) -> str | None:
    """Where a browser that navigates is sent to log in, with the way back as `rd`."""
    if access is None or login_url is None or not access.wants_html:
        return None
    way_back = quote(access.location.url.encode("utf-8", "surrogateescape"), safe="")
    return f"{login_url}{'&' if '?' in login_url else '?'}rd={way_back}"


def challenge(reason: str) -> str:
    """The WWW-Authenticate of a 401 for this reason (RFC 6750 section 3)."""
    # RFC 6750 section 3.1: no error code when no credentials were sent.
    if reason == "token_missing":
        return 'Bearer realm="authgw"'
    error = "invalid_request" if reason == "authorization_malformed" else "invalid_token"
    return f'Bearer realm="authgw", error="{error}"'
