"""Parts of responses that all dialects share."""

from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from authgw.core.errors import HostConflictError, RecheckRequiredError, TargetMalformedError
from authgw.core.model import (
    AccessRequest,
    Decision,
    IdentityHeaders,
    Location,
    Principal,
    ProxyResponse,
    Verdict,
)
from authgw.core.reasons import REASONS, refusal_headers
from authgw.core.redirects import fits
from authgw.core.urls import location_of

Headers = tuple[tuple[str, str], ...]
# The reason of a session that its identity provider has to confirm, and the parameter of the login
# page that does so without a form.
RECHECK = RecheckRequiredError.code
NO_STORE = ("Cache-Control", "no-store")


def allowed(principal: Principal | None, identity: IdentityHeaders) -> ProxyResponse:
    """Return the response that allows a request, the same for every proxy."""
    return ProxyResponse(200, (*_identity_headers(principal, identity), NO_STORE))


def _identity_headers(principal: Principal | None, identity: IdentityHeaders) -> Headers:
    """Return all identity headers: the client could send a header that is missing."""
    claims = {} if principal is None else principal.claims
    return tuple([(name, claims.get(claim, "")) for claim, name in identity.by_claim.items()])


def denial_headers(decision: Decision) -> Headers:
    """Return the headers of a refusal: its code, and a challenge if a login could help."""
    headers = refusal_headers(decision.reason, accepts_basic=decision.accepts_basic)
    return tuple(headers.items())


def is_outage(decision: Decision) -> bool:
    """Return True if the request is refused only because a service is unavailable."""
    return REASONS[decision.reason].status == 503


def for_a_browser(decision: Decision, access: AccessRequest | None) -> Decision:
    """Turn a login into a denial for a browser if the rule accepts no cookie."""
    is_futile = decision.verdict is Verdict.LOGIN and not decision.accepts_cookie
    if not is_futile or access is None or not access.navigates:
        return decision
    return replace(decision, verdict=Verdict.DENY, reason="programs_only")


def login_location(
    decision: Decision, access: AccessRequest | None, login_url: str | None
) -> str | None:
    """Return the login URL for a browser that navigates, None for any other client."""
    if access is None or login_url is None or not access.navigates or not decision.accepts_cookie:
        return None
    recheck = f"&{RECHECK}=1" if decision.reason == RECHECK else ""
    return f"{login_url}{'&' if '?' in login_url else '?'}{return_query(access)}{recheck}"


def return_query(access: AccessRequest) -> str:
    """Return the query with the return target of a login, `rd=...`.

    A target over the limit is replaced by the front page of its host and marked by `cut=yes`.
    """
    url = _return_url(access)
    target = url if fits(url) else f"{access.location.origin}/"
    rd = quote(target.encode("utf-8", "surrogateescape"), safe="")
    return f"rd={rd}" if target == url else f"rd={rd}&cut=yes"


def _return_url(access: AccessRequest) -> str:
    """Return the URL to return to, for a form its page: its target may accept only POST."""
    target = access.location
    if access.method in ("GET", "HEAD"):
        return target.url
    with suppress(TargetMalformedError, HostConflictError):
        page = location_of(access.referer, target.host)
        if _port(page) == _port(target):
            return replace(page, scheme=target.scheme).url
    return f"{target.origin}/"


def _port(location: Location) -> str:
    """Return the port as it was sent, empty for the default port of the scheme."""
    default = {"http": ":80", "https": ":443"}[location.scheme]
    return "" if location.port in (default, ":") else location.port
