"""Return targets of logins: the rule that applies, and why a login may not reach them."""

from aiohttp import web

from authgw.core.errors import TargetMalformedError
from authgw.core.limits import MAX_RD_BYTES
from authgw.core.login_sites import LoginSite
from authgw.core.model import AccessRequest
from authgw.core.rules import NO_RULES, Credential, Rule
from authgw.core.urls import location_from
from authgw.services.results import Identity
from authgw.web.context import GATEWAY, client_address
from authgw.web.return_target import ReturnTarget

CUT = (
    f"The link that you opened is longer than {MAX_RD_BYTES:,} bytes, so this login cannot lead "
    "back to it. "
)


def asks_for_totp(request: web.Request, site: LoginSite, way: ReturnTarget) -> bool:
    """Return True if the rule for the return target requires a second factor."""
    rule = rule_for(request, site.redirects.target(way.rd))
    return rule is not None and rule.totp


def rule_for(request: web.Request, url: str) -> Rule | None:
    """Return the rule for this URL, None without a rule or if the URL cannot be parsed."""
    rules = request[GATEWAY].policy.rules
    scheme, _, rest = url.partition("://")
    host, slash, target = rest.partition("/")
    try:
        location = location_from(scheme, host, slash + target)
    except TargetMalformedError:
        return None
    return rules.match(AccessRequest("GET", location, client_address(request))).rule


def out_of_reach(request: web.Request, site: LoginSite, way: ReturnTarget) -> str:
    """Return the host of this target if a login here cannot reach its page, else an empty text.

    Such a page has a rule that accepts the session cookie, on a host that no login site covers.
    """
    host = site.redirects.host_of(way.rd)
    gateway = request[GATEWAY]
    if not host or any(each.covers(host) for each in gateway.policy.sites.all):
        return ""
    rule = rule_for(request, way.rd)
    if gateway.policy.rules is not NO_RULES and (
        rule is None or rule.allow.anyone or not _by_cookie(rule)
    ):
        return ""
    return host


def why_out_of_reach(site: LoginSite, host: str) -> str:
    """Return a message for the operator: why this site's cookie does not reach this host."""
    if site.cookie_domain is None:
        return (
            f"This login does not reach {host}: login.cookie_domain is not set, so browsers send "
            f"the session cookie to {site.host} only. Set it to a parent domain of both hosts."
        )
    return (
        f"This login does not reach {host}: it is outside of login.cookie_domain "
        f"({site.cookie_domain}). Add a login page for its domain to login.domains."
    )


def cause_of_loop(request: web.Request, site: LoginSite, where: str, identity: Identity) -> str:
    """Return a message for the operator: why a page redirects a session to the login page."""
    host = site.redirects.host_of(where)
    if not site.covers(host):
        other = next(
            (each for each in request[GATEWAY].policy.sites.all if each.covers(host)), None
        )
        if other is None:
            return why_out_of_reach(site, host)
        return f"{host} accepts the cookie of another login page: {other.url}."
    if where.startswith("http:") and site.secure and not host.endswith("localhost"):
        return (
            "The page is reached by http, and browsers send the session cookie over https only. "
            "If TLS is terminated in front of the proxy, the proxy must pass https as the scheme."
        )
    rule = rule_for(request, where)
    if rule is not None and not _by_cookie(rule):
        return f"{rule.name} accepts no session cookie: add `cookie` to its `credentials`."
    if rule is not None and rule.totp and not identity.principal.totp:
        return f"{rule.name} requires a second factor, which this session lacks."
    return "The session is valid; the proxy does not pass Cookie to the auth subrequest."


def _by_cookie(rule: Rule) -> bool:
    return rule.accepts(Credential.COOKIE)
