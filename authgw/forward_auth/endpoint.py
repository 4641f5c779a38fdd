"""The check of a request for a proxy: who sent it, and whether a rule allows it."""

import json
from dataclasses import replace

from aiohttp import web
from multidict import CIMultiDict

from authgw.core.authorization import AuthorizationKind, bearer
from authgw.core.errors import AuthgwError, DirectCheckOffError, StoreUnavailableError
from authgw.core.model import AccessRequest, Decision, Principal, ProxyResponse, Verdict
from authgw.core.reasons import REASONS
from authgw.core.rules import ANY_SESSION, Credential, Rule, allows_anyone, authorize, decide
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.headers import (
    IndexedHeaders,
    RawHeaders,
    authorization,
    cookies,
    other_cookies,
    refuse_identity,
)
from authgw.dialects.nginx import NGINX
from authgw.dialects.responses import allowed, for_a_browser
from authgw.forward_auth.caller import ANONYMOUS, Caller, cacheable, identify, identify_optional
from authgw.forward_auth.decision_cache import CHECK_KEY, DIRECT, CheckKey
from authgw.forward_auth.response_bytes import PreparedResponse, empty_response
from authgw.services.results import Identity
from authgw.web.context import GATEWAY, Gateway, peer_of, record, request_id
from authgw.web.html import refusal_page

# A decision, its caller, and the rule that made it; None if no rule did.
_Outcome = tuple[Decision, Caller, Rule | None]


async def check(request: web.Request, *, dialect: Dialect) -> web.StreamResponse:
    """Respond to a subrequest of this dialect, or to a direct check."""
    key: CheckKey | None = request.get(CHECK_KEY)
    rule = None if key is None or key.rule is None else _cached_rule(key.rule, request[GATEWAY])
    if key is not None and rule is not None:
        return await _check_by_rule(request, dialect, key.credentials, rule)
    if dialect.is_subrequest(request.raw_headers):
        return await _check_target(request, dialect)
    return await _check_directly(request)


async def denied(request: web.Request) -> web.Response:
    """Return the page for a browser that NGINX or HAProxy refuses; the proxy requests it.

    The request is decided again: the proxy keeps nothing of the first response but its status.

    Raises:
        UntrustedProxyError and the other errors of `Dialect.describe`.
    """
    gateway = request[GATEWAY]
    access = _describe(request, NGINX, request.raw_headers)
    decision, _, _ = await _decide(access, request.raw_headers, gateway)
    decision = for_a_browser(decision, access)
    if decision.verdict is not Verdict.DENY:
        decision = Decision(Verdict.DENY, "not_permitted", decision.principal)
    reply = NGINX.render(decision, access, identity=gateway.policy.identity)
    decision = await _with_principal(request, decision, access)
    return refusal_page(request, decision, access, reply)


async def _check_target(request: web.Request, dialect: Dialect) -> web.StreamResponse:
    """Respond to a subrequest about a target that has to be matched with the rules."""
    headers, access = IndexedHeaders.of(request.raw_headers), None
    try:
        access = _describe(request, dialect, headers)
        outcome = await _decide(access, headers, request[GATEWAY])
    except AuthgwError as error:
        outcome = _refused(error)
    return await _respond(request, dialect, access, outcome)


async def _check_by_rule(
    request: web.Request, dialect: Dialect, credentials: RawHeaders, rule: Rule
) -> web.StreamResponse:
    """Respond to a subrequest whose deciding rule is cached; only its caller is new."""
    try:
        caller = await identify(credentials, request[GATEWAY], rule)
        outcome: _Outcome = (authorize(rule, caller.principal, caller.reason), caller, rule)
    except StoreUnavailableError as error:
        outcome = _refused(error)
    is_allowed = outcome[0].verdict is Verdict.ALLOW
    # Only a refusal names the target, so only then its headers are parsed.
    access = (
        None if is_allowed else _describe(request, dialect, IndexedHeaders.of(request.raw_headers))
    )
    return await _respond(request, dialect, access, outcome)


async def _check_directly(request: web.Request) -> web.StreamResponse:
    """Respond to a direct check: a program's request about its own session.

    Raises:
        DirectCheckOffError, IdentityHeaderFromClientError and the errors of
            `Identification.identify`.
    """
    gateway = request[GATEWAY]
    if not gateway.policy.direct_check:
        # With a `proxy_set_header` missing, a subrequest looks like a direct check.
        raise DirectCheckOffError
    refuse_identity(request.raw_headers, gateway.policy.identity)
    # This is a call of our own API: no app shares the header, so its token must be ours.
    token = bearer(authorization(request.raw_headers))
    session_cookies = cookies(request.raw_headers, gateway.policy.cookies)
    identity = await gateway.services.identification.identify(token, session_cookies)
    principal = identity.principal
    if gateway.policy.record_allowed:
        record(request, "allow", sub=principal.sub, sid=principal.sid, detail="a direct check")
    headers = allowed(principal, gateway.policy.identity).headers
    headers = (*headers, ("Content-Type", "application/json; charset=utf-8"))
    reply = ProxyResponse(200, headers, json.dumps(identity.token.claims))
    prepared = _cache(request, DIRECT, cacheable(identity, token, session_cookies), reply)
    return prepared or web.Response(body=reply.body.encode(), headers=CIMultiDict(headers))


def _cached_rule(number: int, gateway: Gateway) -> Rule | None:
    """Return the rule with this number if its decision depends on nothing but the caller."""
    if number == DIRECT:
        return None
    rule = gateway.policy.rules.ordered[number]
    # An app password is valid for some paths only.
    return None if rule.accepts(Credential.APP_PASSWORD) else rule


def _describe(request: web.Request, dialect: Dialect, headers: RawHeaders) -> AccessRequest:
    policy = request[GATEWAY].policy
    subrequest = Subrequest(request.method, request.raw_path, headers, peer_of(request))
    access = dialect.describe(subrequest, policy.trusted, policy.identity)
    return policy.sites.with_public_scheme(access)


def _refused(error: AuthgwError) -> _Outcome:
    return Decision(Verdict.DENY, error.code), Caller(None, error), None


async def _decide(access: AccessRequest, headers: RawHeaders, gateway: Gateway) -> _Outcome:
    """Match first, identify second: a public page must not depend on credentials or store.

    Raises:
        StoreUnavailableError: the rule needs the caller, whose session cannot be read now.
    """
    match = gateway.policy.rules.match(access)
    if match.rule is None:
        return decide(match, access, None, ""), ANONYMOUS, None
    is_public = allows_anyone(match.rule, access)
    caller = await (identify_optional if is_public else identify)(
        headers, gateway, match.rule, access
    )
    return decide(match, access, caller.principal, caller.reason), caller, match.rule


async def _respond(
    request: web.Request, dialect: Dialect, access: AccessRequest | None, outcome: _Outcome
) -> web.StreamResponse:
    """Record and render a decision, and cache it if every such request gets this response."""
    policy = request[GATEWAY].policy
    decision, caller, rule = outcome
    decision = for_a_browser(decision, access)
    if decision.verdict is Verdict.ALLOW:
        _note_allowed(request, dialect, decision.principal, access)
    page = policy.sites.covering(access.location.host) if access else None
    url = page.url if page else None
    reply = dialect.render(decision, access, identity=policy.identity, login_url=url)
    _record(request, decision, caller, reply.status, access)
    if reply.body and access and access.wants_html and reply.status in (403, 503):
        decision = await _with_principal(request, decision, access)
        return refusal_page(request, decision, access, reply)
    if reply.status == 200 and rule is not None:
        prepared = _cache(request, rule.number, caller.identity, reply)
        if prepared is not None:
            return prepared
    return _response(request, reply, dialect)


def _note_allowed(
    request: web.Request,
    dialect: Dialect,
    principal: Principal | None,
    access: AccessRequest | None,
) -> None:
    """Note an allowed check for the login page, if it watches the session for a redirect loop."""
    checks = request[GATEWAY].login.allowed_checks
    if principal is not None and checks.watches(principal.sid):
        access = access or _describe(request, dialect, IndexedHeaders.of(request.raw_headers))
        checks.note(principal.sid, access.location.host)


async def _with_principal(
    request: web.Request, decision: Decision, access: AccessRequest
) -> Decision:
    """Return the refusal with its principal, also if it did not depend on the caller."""
    if decision.principal is not None:
        return decision
    caller = await identify_optional(request.raw_headers, request[GATEWAY], ANY_SESSION, access)
    return replace(decision, principal=caller.principal)


def _cache(
    request: web.Request, rule: int, identity: Identity | None, reply: ProxyResponse
) -> PreparedResponse | None:
    """Cache the response 200 of a rule, or of DIRECT; return it prepared, None if not cached."""
    key: CheckKey | None = request.get(CHECK_KEY)
    if key is None or identity is None:
        return None
    return key.cache.add(key, rule, identity, reply)


def _response(request: web.Request, reply: ProxyResponse, dialect: Dialect) -> web.StreamResponse:
    own: tuple[tuple[str, str], ...] = ()
    if reply.status != 200:
        own = (("X-Request-ID", request_id(request)),)
    elif not dialect.removes_cookies:
        header = other_cookies(request.raw_headers)
        own = () if header is None else (("Cookie", header),)
    if not reply.body:
        return empty_response(request, reply.status, reply.headers, own)
    # A text for the client ends with the id that users can report.
    body = f"{reply.body}, request {request_id(request)}\n"
    headers = CIMultiDict((*reply.headers, *own))
    return web.Response(status=reply.status, headers=headers, text=body)


def _record(
    request: web.Request,
    decision: Decision,
    caller: Caller,
    status: int,
    access: AccessRequest | None,
) -> None:
    refusal = caller.refusal
    subject = decision.principal or refusal
    sub, sid = (subject.sub, subject.sid) if subject else ("", "")
    # The query is left out: it may contain secrets.
    target = f"{access.method} {access.location.host}{access.location.path}" if access else ""
    authorization_kind = AuthorizationKind.FOREIGN.value if caller.is_foreign else ""
    if decision.verdict is not Verdict.ALLOW:
        meaning = refusal.detail if refusal else REASONS[decision.reason].meaning
        why = decision.detail or meaning
        record(
            request,
            "deny",
            sub=sub,
            sid=sid,
            reason=decision.reason,
            detail=f"{status} {target}: {why}" if target else why,
            authorization=authorization_kind,
        )
    elif request[GATEWAY].policy.record_allowed:
        record(request, "allow", sub=sub, sid=sid, detail=target, authorization=authorization_kind)
