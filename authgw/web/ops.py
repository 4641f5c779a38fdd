"""What operators and load balancers ask."""

from aiohttp import web

from authgw.web.errors import NO_STORE
from authgw.web.gateway import GATEWAY


async def ping(request: web.Request) -> web.Response:
    """Say that something answers."""
    return web.Response(text="pong", headers=NO_STORE)


async def healthz(request: web.Request) -> web.Response:
    """Say that this process lives, whatever its store does."""
    return web.Response(text="ok", headers=NO_STORE)


async def readyz(request: web.Request) -> web.Response:
    """Say whether this replica should be asked: its store answers, it is not draining."""
    why_not = await request.app[GATEWAY].ready()
    return web.Response(status=503 if why_not else 200, text=why_not or "ready", headers=NO_STORE)


async def stylesheet(request: web.Request) -> web.Response:
    """The style of the pages; it holds nothing about anybody."""
    return web.Response(
        text=request.app[GATEWAY].pages.stylesheet,
        content_type="text/css",
        headers={"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"},
    )


async def jwks(request: web.Request) -> web.Response:
    """The public keys that verify our tokens (RFC 7517 section 5)."""
    gateway = request.app[GATEWAY]
    return web.json_response(gateway.keys.jwks(gateway.clock()), headers=NO_STORE)
