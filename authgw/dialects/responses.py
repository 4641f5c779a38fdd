"""What every dialect's answer is made of."""

from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from authgw.core.errors import REASONS, HostConflictError, TargetMalformedError
from authgw.core.model import (
    AccessRequest,
    Decision,
    IdentityHeaders,
    Location,
    Principal,
    ProxyResponse,
    Verdict,
)
from authgw.core.redirects import fits
from authgw.core.urls import location_of

_ERRORS = {
    "authorization_malformed": "invalid_request",
    "credentials_ambiguous": "invalid_request",
    # RFC 9470 section 3
    "totp_required": "insufficient_user_authentication",
}
Headers = tuple[tuple[str, str], ...]
NO_STORE = ("Cache-Control", "no-store")


def allowed(principal: Principal | None, identity: IdentityHeaders) -> ProxyResponse:
    """The one answer that lets a request pass, alike for every proxy."""
    return ProxyResponse(200, (*_identity_headers(principal, identity), NO_STORE))


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


def for_a_browser(decision: Decision, access: AccessRequest | None) -> Decision:
    """Return a denial in place of a login that a browser cannot do: the rule takes no cookie."""
    hopeless = decision.verdict is Verdict.LOGIN and not decision.takes_cookie
    if not hopeless or access is None or not access.navigates:
        return decision
    return replace(decision, verdict=Verdict.DENY, reason="programs_only")


def login_location(
    decision: Decision, access: AccessRequest | None, login_url: str | None
) -> str | None:
    """Return the address to which a browser that navigates is sent to log in."""
    if access is None or login_url is None or not access.navigates or not decision.takes_cookie:
        return None
    return f"{login_url}{'&' if '?' in login_url else '?'}{way_back(access)}"


def way_back(access: AccessRequest) -> str:
    """Return the query that tells a login page the way back, `rd=...`.

    A way back over the limit becomes the front page of its host, and `cut=yes` says so.
    """
    url = _page_of(access)
    kept = url if fits(url) else f"{access.location.origin}/"
    rd = quote(kept.encode("utf-8", "surrogateescape"), safe="")
    return f"rd={rd}" if kept == url else f"rd={rd}&cut=yes"


def _page_of(access: AccessRequest) -> str:
    """Return the page to lead back to: a form's target may take nothing but a POST."""
    asked = access.location
    if access.method in ("GET", "HEAD"):
        return asked.url
    with suppress(TargetMalformedError, HostConflictError):
        page = location_of(access.referer, asked.host)
        if _port(page) == _port(asked):
            return replace(page, scheme=asked.scheme).url
    return f"{asked.origin}/"


def _port(location: Location) -> str:
    """Return the port as it was sent, nothing for the one of the scheme."""
    own = {"http": ":80", "https": ":443"}[location.scheme]
    return "" if location.port in (own, ":") else location.port


def challenge(reason: str) -> str:
    """The WWW-Authenticate of a 401 for this reason (RFC 6750 section 3)."""
    # RFC 6750 section 3.1: no error code when no token was sent.
    if reason in ("token_missing", "login_failed"):
        return 'Bearer realm="authgw"'
    return f'Bearer realm="authgw", error="{_ERRORS.get(reason, "invalid_token")}"'
