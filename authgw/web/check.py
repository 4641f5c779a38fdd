"""The question this gateway exists for: who is this, and may they?"""

import json
from dataclasses import dataclass, replace
from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from authgw.core.authorization import AuthorizationKind, bearer
from authgw.core.errors import REASONS, AuthgwError, DirectCheckOffError, StoreUnavailableError
from authgw.core.model import (
    AccessRequest,
    Decision,
    IdentityHeaders,
    Principal,
    ProxyResponse,
    Verdict,
)
from authgw.core.networks import TrustedProxies
from authgw.core.rules import Allow, Credential, Rule, allows_anyone, authorize, decide
from authgw.dialects import envoy, forwarded, nginx
from authgw.dialects.headers import (
    IndexedHeaders,
    RawHeaders,
    authorization,
    cookies,
    other_cookies,
    refuse_identity,
)
from authgw.dialects.responses import for_a_browser
from authgw.services.results import Identity
from authgw.web.caller import Caller, identify, perhaps
from authgw.web.context import GATEWAY, Gateway, peer_of, record, request_id
from authgw.web.decision_cache import ASKED, DIRECT, CheckKey
from authgw.web.html import refusal_page
from authgw.web.prepared_response import PreparedResponse, answer

# What stands for the rules where there are none: any live session.
_ANY = Rule("no rules", Allow(authenticated=True))


@dataclass(frozen=True, slots=True)
class _CheckResult:
    """A decision, the rule that it was made by, and whom it rests on or why on nobody.

    `problem` is what the log says of an error; `is_foreign` is as for `Caller`.
    """

    decision: Decision
    rule: Rule | None = None
    found: Identity | None = None
    refused: AuthgwError | None = None
    problem: str = ""
    is_foreign: bool = False

    @classmethod
    def about(cls, who: Caller, decision: Decision, rule: Rule) -> "_CheckResult":
        """The decision of this rule about this caller."""
        return cls(decision, rule, who.found, who.refused, is_foreign=who.is_foreign)


class Dialect(Protocol):
    """One proxy's way of asking and of being answered."""

    def describe(
        self,
        method: str,
        raw_path: str,
        headers: RawHeaders,
        *,
        peer: str,
        trusted: TrustedProxies,
        identity: IdentityHeaders,
    ) -> AccessRequest: ...

    def render(
        self,
        decision: Decision,
        access: AccessRequest | None,
        *,
        identity: IdentityHeaders,
        login_url: str | None = None,
    ) -> ProxyResponse: ...


async def authenticate(request: web.Request) -> web.StreamResponse:
    """Answer NGINX's or HAProxy's subrequest, or a direct check when no proxy asks."""
    asked: CheckKey | None = request.get(ASKED)
    rule = None if asked is None else _known_rule(asked, request[GATEWAY])
    if asked is not None and rule is not None:
        return await _by_rule(request, asked, rule)
    if nginx.is_subrequest(request.raw_headers):
        return await _subrequest(request, nginx)
    return await _direct(request)


async def by_forwarding(request: web.Request) -> web.StreamResponse:
    """Answer Traefik or Caddy."""
    return await _subrequest(request, forwarded)


async def by_envoy(request: web.Request) -> web.StreamResponse:
    """Answer Envoy."""
    return await _subrequest(request, envoy)


async def _subrequest(request: web.Request, dialect: Dialect) -> web.StreamResponse:
    gateway, headers = request[GATEWAY], IndexedHeaders.of(request.raw_headers)
    access = None
    try:
        access = _described(request, dialect, headers)
        decided = await _decide(access, headers, gateway)
    except AuthgwError as error:
        decided = _refused(error)
    return await _answered(request, dialect, access, decided)


async def _by_rule(request: web.Request, asked: CheckKey, rule: Rule) -> web.StreamResponse:
    """Answer a question that this rule is known to decide: all that is new is who asks."""
    gateway = request[GATEWAY]
    try:
        who = await identify(asked.credentials, gateway, rule)
        decision = authorize(rule, who.principal, who.why)
        if decision.verdict is Verdict.ALLOW:
            _note_allowed(request, who.principal, None)
            reply = nginx.render(decision, None, identity=gateway.policy.identity)
            known = who.found and asked.shortcut.learn(asked, rule.number, who.found, reply)
            return known or PreparedResponse(reply.status, reply.headers)
        decided = _CheckResult.about(who, decision, rule)
    except StoreUnavailableError as error:
        decided = _refused(error)
    access = _described(request, nginx, IndexedHeaders.of(request.raw_headers))
    return await _answered(request, nginx, access, decided)


def _known_rule(asked: CheckKey, gateway: Gateway) -> Rule | None:
    """The rule that is known to decide this question, if who asks is all that it looks at."""
    if asked.rule is None or asked.rule == DIRECT:
        return None
    rule = _ANY if gateway.policy.rules is None else gateway.policy.rules.ordered[asked.rule]
    # An app password is good for some paths only.
    return None if rule.accepts(Credential.APP_PASSWORD) else rule


def _described(request: web.Request, dialect: Dialect, headers: RawHeaders) -> AccessRequest:
    gateway = request[GATEWAY]
    access = dialect.describe(
        request.method,
        request.raw_path,
        headers,
        peer=peer_of(request),
        trusted=gateway.policy.trusted,
        identity=gateway.policy.identity,
    )
    return gateway.policy.sites.with_public_scheme(access)


def _refused(error: AuthgwError) -> _CheckResult:
    return _CheckResult(Decision(Verdict.DENY, error.code), refused=error, problem=error.detail)


def _note_allowed(
    request: web.Request, principal: Principal | None, access: AccessRequest | None
) -> None:
    """Tell the login page, if it waits for that, that this session may see pages of the host."""
    allowed = request[GATEWAY].login.allowed_checks
    if principal is not None and allowed.watches(principal.sid):
        access = access or _described(request, nginx, IndexedHeaders.of(request.raw_headers))
        allowed.note(principal.sid, access.location.host)


async def _answered(
    request: web.Request, dialect: Dialect, access: AccessRequest | None, decided: _CheckResult
) -> web.StreamResponse:
    gateway = request[GATEWAY]
    decided = replace(decided, decision=for_a_browser(decided.decision, access))
    decision = decided.decision
    if decision.verdict is Verdict.ALLOW:
        _note_allowed(request, decision.principal, access)
    page = gateway.policy.sites.covering(access.location.host) if access else None
    url = page.url if page else None
    reply = dialect.render(decision, access, identity=gateway.policy.identity, login_url=url)
    _record(request, decided, reply.status, access)
    if reply.body and access and access.wants_html and reply.status in (403, 503):
        decision = await _with_principal(request, decision, access)
        return refusal_page(request, decision, access, reply)
    return _known(request, decided, reply) or _sent(request, reply, dialect)


def _known(
    request: web.Request, decided: _CheckResult, reply: ProxyResponse
) -> web.StreamResponse | None:
    """The answer that every request like this one gets, as long as what was found holds."""
    asked: CheckKey | None = request.get(ASKED)
    if asked is None or reply.status != 200 or decided.rule is None or decided.found is None:
        return None
    return asked.shortcut.learn(asked, decided.rule.number, decided.found, reply)


def _sent(request: web.Request, reply: ProxyResponse, dialect: Dialect) -> web.StreamResponse:
    own: tuple[tuple[str, str], ...] = ()
    if reply.status != 200:
        own = (("X-Request-ID", request_id(request)),)
    elif dialect is not nginx:
        # Traefik and Envoy can take no cookie out of a header, but put our answer's in its place.
        kept = other_cookies(request.raw_headers)
        own = () if kept is None else (("Cookie", kept),)
    if not reply.body:
        return answer(request, reply.status, reply.headers, own)
    # What a client will read ends with the id that it can report.
    body = f"{reply.body}, request {request_id(request)}\n"
    headers = CIMultiDict((*reply.headers, *own))
    return web.Response(status=reply.status, headers=headers, text=body)


async def denied(request: web.Request) -> web.Response:
    """The page for a browser that NGINX or HAProxy was told to refuse, asked for by the proxy.

    The question is decided again, for the proxy keeps no more of the first answer than its code.

    Raises:
        UntrustedProxyError and the other errors of the dialect: nobody may ask for it directly.
    """
    gateway = request[GATEWAY]
    access = _described(request, nginx, request.raw_headers)
    decision = (await _decide(access, request.raw_headers, gateway)).decision
    decision = for_a_browser(decision, access)
    if decision.verdict is not Verdict.DENY:
        decision = Decision(Verdict.DENY, "not_permitted", decision.principal)
    reply = forwarded.render(decision, access, identity=gateway.policy.identity)
    decision = await _with_principal(request, decision, access)
    return refusal_page(request, decision, access, reply)


async def _with_principal(
    request: web.Request, decision: Decision, access: AccessRequest
) -> Decision:
    """The same refusal for the page's sake with who is signed in, where it needed nobody."""
    if decision.principal is not None:
        return decision
    who = await perhaps(access, request.raw_headers, request[GATEWAY], _ANY)
    return replace(decision, principal=who.principal)


async def _decide(access: AccessRequest, headers: RawHeaders, gateway: Gateway) -> _CheckResult:
    """Match first, identify second: a public page must not depend on credentials or store.

    Raises:
        StoreUnavailableError: the rule asks who this is, and nobody can say now.
    """
    if gateway.policy.rules is None:
        who = await identify(headers, gateway, _ANY, access)
        verdict = Verdict.ALLOW if who.principal else Verdict.LOGIN
        return _CheckResult.about(who, Decision(verdict, who.why, who.principal), _ANY)
    match = gateway.policy.rules.match(access)
    if match.rule is None:
        return _CheckResult(decide(match, access, None, ""))
    if allows_anyone(match.rule, access):
        who = await perhaps(access, headers, gateway, match.rule)
        return _CheckResult(decide(match, access, who.principal, ""), is_foreign=who.is_foreign)
    who = await identify(headers, gateway, match.rule, access)
    return _CheckResult.about(who, decide(match, access, who.principal, who.why), match.rule)


async def _direct(request: web.Request) -> web.StreamResponse:
    gateway = request[GATEWAY]
    if gateway.policy.rules is not None and not gateway.policy.settings.auth.direct_check:
        # A proxy_set_header that somebody forgot must open nothing.
        raise DirectCheckOffError
    refuse_identity(request.raw_headers, gateway.policy.identity)
    # A direct check is a call of our own API, where no app shares the header: it must be ours.
    token = bearer(authorization(request.raw_headers))
    seen = cookies(request.raw_headers, gateway.policy.cookies)
    found = await gateway.services.identification.identify(token, seen)
    if gateway.policy.record_allowed:
        who = found.principal
        record(request, "allow", sub=who.sub, sid=who.sid, detail="a direct check")
    allowed = Decision(Verdict.ALLOW, principal=found.principal)
    headers = nginx.render(allowed, None, identity=gateway.policy.identity).headers
    headers = (*headers, ("Content-Type", "application/json; charset=utf-8"))
    body = json.dumps(found.token.claims)
    asked: CheckKey | None = request.get(ASKED)
    if asked is not None and len(seen) == (1 if token is None else 0):
        known = asked.shortcut.learn(asked, DIRECT, found, ProxyResponse(200, headers, body))
        if known is not None:
            return known
    return web.Response(body=body.encode(), headers=CIMultiDict(headers))


def _record(
    request: web.Request,
    decided: _CheckResult,
    status: int,
    access: AccessRequest | None,
) -> None:
    decision = decided.decision
    who = decision.principal or decided.refused
    sub, sid = (who.sub, who.sid) if who else ("", "")
    asked = _asked(access) if access else ""
    header = AuthorizationKind.FOREIGN.value if decided.is_foreign else ""
    if decision.verdict is not Verdict.ALLOW:
        meaning = decided.refused.detail if decided.refused else REASONS[decision.reason].meaning
        why = decided.problem or decision.detail or meaning
        said = f"{status} {asked}: {why}" if asked else why
        record(
            request,
            "deny",
            sub=sub,
            sid=sid,
            reason=decision.reason,
            detail=said,
            authorization=header,
        )
    elif request[GATEWAY].policy.record_allowed:
        record(request, "allow", sub=sub, sid=sid, detail=asked, authorization=header)


def _asked(access: AccessRequest) -> str:
    # The query is left out: it may hold secrets.
    return f"{access.method} {access.location.host}{access.location.path}"
