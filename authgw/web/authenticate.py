"""The question this gateway exists for: who is this, and may they?"""

import asyncio
import json

from aiohttp import web

from authgw.core.errors import REASONS, AuthgwError, DirectCheckOff, StoreUnavailable
from authgw.core.model import AccessRequest, Decision, Principal, Verdict
from authgw.core.rules import Rules, decide, needs_nobody
from authgw.dialects import nginx
from authgw.dialects.headers import RawHeaders, bearer, refuse_identity
from authgw.service import Sessions
from authgw.web.gateway import GATEWAY, peer_of, record, request_id

_PUBLIC_PATIENCE = 0.05  # seconds that a public page waits to learn who is asking


async def authenticate(request: web.Request) -> web.Response:
    """Answer a proxy's subrequest, or a direct check when no proxy asks."""
    if nginx.asks(request.raw_headers):
        return await _subrequest(request)
    return await _direct(request)


async def _subrequest(request: web.Request) -> web.Response:
    gateway = request.app[GATEWAY]
    asked = problem = ""
    try:
        access = nginx.describe(
            request.raw_headers,
            peer=peer_of(request),
            trusted=gateway.trusted,
            identity=gateway.identity,
        )
        # The query is left out: it may hold secrets.
        asked = f"{access.method} {access.location.host}{access.location.path}"
        decision = await _decide(access, request.raw_headers, gateway.rules, gateway.sessions)
    except AuthgwError as error:
        decision = Decision(Verdict.DENY, error.code)
        problem = error.detail
    _record(request, decision, asked, problem)
    reply = nginx.render(decision, gateway.identity)
    headers = dict(reply.headers)
    if reply.status != 200:
        headers["X-Request-ID"] = request_id(request)
    return web.Response(status=reply.status, headers=headers)


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
        return decide(match, access, await _perhaps(headers, sessions), "")
    principal, why = await _identify(headers, sessions)
    return decide(match, access, principal, why)


async def _identify(headers: RawHeaders, sessions: Sessions) -> tuple[Principal | None, str]:
    """The verified subject, or the code of why there is none."""
    try:
        principal, _ = await sessions.identify(bearer(headers))
    except StoreUnavailable:
        raise
    except AuthgwError as error:
        return None, error.code
    return principal, ""


async def _perhaps(headers: RawHeaders, sessions: Sessions) -> Principal | None:
    try:
        async with asyncio.timeout(_PUBLIC_PATIENCE):
            return (await _identify(headers, sessions))[0]
    except (TimeoutError, StoreUnavailable):
        return None


async def _direct(request: web.Request) -> web.Response:
    gateway = request.app[GATEWAY]
    if gateway.rules is not None and not gateway.direct_check:
        # A proxy_set_header that somebody forgot must open nothing.
        raise DirectCheckOff
    refuse_identity(request.raw_headers, gateway.identity)
    principal, token = await gateway.sessions.identify(bearer(request.raw_headers))
    reply = nginx.render(Decision(Verdict.ALLOW, principal=principal), gateway.identity)
    return web.Response(
        text=json.dumps(token.claims),
        content_type="application/json",
        headers=dict(reply.headers),
    )


def _record(request: web.Request, decision: Decision, asked: str, problem: str) -> None:
    who = decision.principal
    sub, sid = (who.sub, who.sid) if who else ("", "")
    if decision.verdict is not Verdict.ALLOW:
        why = problem or REASONS[decision.reason].meaning
        said = f"{asked}: {why}" if asked else why
        record(request, "deny", sub=sub, sid=sid, reason=decision.reason, detail=said)
    elif request.app[GATEWAY].record_allowed:
        record(request, "allow", sub=sub, sid=sid, detail=asked)
