"""The question this gateway exists for: who is this, and may they?"""

import asyncio
import json
from typing import Protocol

from aiohttp import web

from authgw.core.errors import (
    REASONS,
    AuthgwError,
    DirectCheckOff,
    StoreUnavailable,
    TokenMissing,
)
from authgw.core.model import AccessRequest, Decision, IdentityHeaders, Principal, Reply, Verdict
from authgw.core.peers import TrustedProxies
from authgw.core.rules import Credential, Rule, Rules, decide, needs_nobody
from authgw.dialects import envoy, forwarded, nginx
from authgw.dialects.headers import RawHeaders, bearer, refuse_identity
from authgw.service import Sessions
from authgw.web.gateway import GATEWAY, peer_of, record, request_id

_PUBLIC_PATIENCE = 0.05  # seconds that a public page waits to learn who is asking


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
    ) -> Reply: ...


async def authenticate(request: web.Request) -> web.Response:
    """Answer NGINX's or HAProxy's subrequest, or a direct check when no proxy asks."""
    if nginx.asks(request.raw_headers):
        return await _subrequest(request, nginx)
    return await _direct(request)


async def by_forwarding(request: web.Request) -> web.Response:
    """Answer Traefik or Caddy."""
    return await _subrequest(request, forwarded)


async def by_envoy(request: web.Request) -> web.Response:
    """Answer Envoy."""
    return await _subrequest(request, envoy)


async def _subrequest(request: web.Request, dialect: Dialect) -> web.Response:
    gateway = request.app[GATEWAY]
    access, problem = None, ""
    try:
        access = dialect.describe(
            request.method,
            request.raw_path,
            request.raw_headers,
            peer=peer_of(request),
            trusted=gateway.trusted,
            identity=gateway.identity,
        )
        decision = await _decide(access, request.raw_headers, gateway.rules, gateway.sessions)
    except AuthgwError as error:
        decision = Decision(Verdict.DENY, error.code)
        problem = error.detail
    reply = dialect.render(decision, access, identity=gateway.identity, login_url=gateway.login_url)
    _record(request, decision, reply.status, access, problem)
    headers = dict(reply.headers)
    if reply.status != 200:
        headers["X-Request-ID"] = request_id(request)
    # What a client will read ends with the id that it can report.
    body = f"{reply.body}, request {request_id(request)}\n" if reply.body else None
    return web.Response(status=reply.status, headers=headers, text=body)


async def _decide(
    access: AccessRequest, headers: RawHeaders, rules: Rules | None, sessions: Sessions
) -> Decision:
    """Match first, identify second: a public page must not depend on credentials or store.

    Raises:
        StoreUnavailable: the rule asks who this is, and nobody can say now.
    """
    if rules is None:
        principal, why = await _identify(headers, sessions)
        return Decision(Verdict.ALLOW if principal else Verdict.LOGIN, why, principal)
    match = rules.match(access)
    if match.rule is None:
        return decide(match, access, None, "")
    if needs_nobody(match.rule, access):
        return decide(match, access, await _perhaps(headers, sessions, match.rule), "")
    principal, why = await _identify(headers, sessions, match.rule)
    return decide(match, access, principal, why)


async def _identify(
    headers: RawHeaders, sessions: Sessions, rule: Rule | None = None
) -> tuple[Principal | None, str]:
    """The verified subject, or the code of why there is none that this rule heeds."""
    if rule is not None and not rule.heeds(Credential.BEARER):
        return None, TokenMissing.code
    try:
        principal, _ = await sessions.identify(bearer(headers))
    except StoreUnavailable:
        raise
    except AuthgwError as error:
        return None, error.code
    return principal, ""


async def _perhaps(headers: RawHeaders, sessions: Sessions, rule: Rule) -> Principal | None:
    try:
        async with asyncio.timeout(_PUBLIC_PATIENCE):
            return (await _identify(headers, sessions, rule))[0]
    except (TimeoutError, StoreUnavailable):
        return None


async def _direct(request: web.Request) -> web.Response:
    gateway = request.app[GATEWAY]
    if gateway.rules is not None and not gateway.direct_check:
        # A proxy_set_header that somebody forgot must open nothing.
        raise DirectCheckOff
    refuse_identity(request.raw_headers, gateway.identity)
    principal, token = await gateway.sessions.identify(bearer(request.raw_headers))
    allowed = Decision(Verdict.ALLOW, principal=principal)
    reply = nginx.render(allowed, None, identity=gateway.identity)
    return web.Response(
        text=json.dumps(token.claims),
        content_type="application/json",
        headers=dict(reply.headers),
    )


def _record(
    request: web.Request,
    decision: Decision,
    status: int,
    access: AccessRequest | None,
    problem: str,
) -> None:
    who = decision.principal
    sub, sid = (who.sub, who.sid) if who else ("", "")
    asked = _asked(access) if access else ""
    if decision.verdict is not Verdict.ALLOW:
        why = problem or decision.detail or REASONS[decision.reason].meaning
        said = f"{status} {asked}: {why}" if asked else why
        record(request, "deny", sub=sub, sid=sid, reason=decision.reason, detail=said)
    elif request.app[GATEWAY].record_allowed:
        record(request, "allow", sub=sub, sid=sid, detail=asked)


def _asked(access: AccessRequest) -> str:
    # The query is left out: it may hold secrets.
    return f"{access.method} {access.location.host}{access.location.path}"
