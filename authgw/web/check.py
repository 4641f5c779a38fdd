"""Checks and pages of refusals as requests of aiohttp, which `forward_auth` responds to."""

from aiohttp import web
from multidict import CIMultiDict

from authgw.dialects.base import Dialect, Subrequest
from authgw.forward_auth.response_bytes import Response
from authgw.web.context import GATEWAY, peer_of


async def check(request: web.Request, *, dialect: Dialect) -> web.Response:
    """Respond to a subrequest of this dialect, or to a direct check."""
    return web_response(await request[GATEWAY].checks.respond(_subrequest(request), dialect))


async def denied(request: web.Request) -> web.Response:
    """Return the page for a browser that NGINX or HAProxy refuses; the proxy requests it."""
    return web_response(await request[GATEWAY].checks.denied(_subrequest(request)))


def web_response(response: Response) -> web.Response:
    """Return a plain response as a response of aiohttp's."""
    headers = CIMultiDict((*response.headers, *response.own))
    return web.Response(status=response.status, headers=headers, body=response.body or None)


def _subrequest(request: web.Request) -> Subrequest:
    return Subrequest(request.method, request.raw_path, request.raw_headers, peer_of(request))
