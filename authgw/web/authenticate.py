"""The question this gateway exists for: who is this, and may they?"""

import json

from aiohttp import web

from authgw.core.errors import AuthgwError
from authgw.core.model import Decision, Principal, Reply, Verdict
from authgw.dialects import nginx
from authgw.dialects.headers import bearer, refuse_identity
from authgw.web.gateway import GATEWAY, Gateway, peer_of, record, request_id


async def authenticate(request: web.Request) -> web.Response:
    """Answer a proxy's subrequest, or a direct check when no proxy asks."""
    if nginx.asks(request.raw_headers):
        return await _subrequest(request)
    return await _direct(request)


async def _subrequest(request: web.Request) -> web.Response:
    gateway = request.app[GATEWAY]
    asked = ""
    try:
        access = nginx.describe(
            request.raw_headers,
            peer=peer_of(request),
            trusted=gateway.trusted,
            identity=gateway.identity,
        )
        # The query is left out: it may hold secrets.
        asked = f"{access.method} {access.location.host}{access.location.path}"
        principal, _ = await gateway.sessions.identify(access.bearer)
        decision = Decision(Verdict.ALLOW, principal=principal)
    except AuthgwError as error:
        decision = Decision(_verdict(error), error.code)
        said = f"{asked}: {error.detail}" if asked else error.detail
        record(request, "deny", reason=error.code, detail=said)
    else:
        if gateway.record_allowed:
            record(request, "allow", sub=principal.sub, sid=principal.sid, detail=asked)
    return _response(nginx.render(decision, gateway.identity), request)


async def _direct(request: web.Request) -> web.Response:
    gateway = request.app[GATEWAY]
    refuse_identity(request.raw_headers, gateway.identity)
    principal, token = await gateway.sessions.identify(bearer(request.raw_headers))
    return web.Response(
        text=json.dumps(token.claims),
        content_type="application/json",
        headers=dict(_allowed(principal, gateway).headers),
    )


def _allowed(principal: Principal, gateway: Gateway) -> Reply:
    return nginx.render(Decision(Verdict.ALLOW, principal=principal), gateway.identity)


def _verdict(error: AuthgwError) -> Verdict:
    return Verdict.LOGIN if error.status == 401 else Verdict.DENY


def _response(reply: Reply, request: web.Request) -> web.Response:
    headers = dict(reply.headers)
    if reply.status != 200:
        headers["X-Request-ID"] = request_id(request)
    return web.Response(status=reply.status, headers=headers)
