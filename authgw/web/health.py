"""What operators and load balancers ask."""

from typing import Any

from aiohttp import web

from authgw.web.context import GATEWAY, Gateway
from authgw.web.html import page
from authgw.web.openapi import codes, describe, outline
from authgw.web.problems import NO_STORE


async def ping(request: web.Request) -> web.Response:
    """Say that something answers."""
    return web.Response(text="pong", headers=NO_STORE)


async def healthz(request: web.Request) -> web.Response:
    """Say that this process lives, whatever its store does."""
    return web.Response(text="ok", headers=NO_STORE)


async def readyz(request: web.Request) -> web.Response:
    """Say whether this replica should be asked: its store answers, it is not draining."""
    why_not = await request[GATEWAY].services.ready()
    if why_not:
        return web.Response(status=503, text=why_not, headers={**NO_STORE, "Retry-After": "1"})
    return web.Response(text="ready", headers=NO_STORE)


async def stylesheet(request: web.Request) -> web.Response:
    """The style of the pages; it holds nothing about anybody."""
    return web.Response(
        text=request[GATEWAY].login.pages.stylesheet,
        content_type="text/css",
        headers={"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"},
    )


async def jwks(request: web.Request) -> web.Response:
    """The public keys that verify our tokens (RFC 7517 section 5)."""
    gateway = request[GATEWAY]
    return web.json_response(gateway.services.keys.jwks(gateway.services.clock()), headers=NO_STORE)


def description(gateway: Gateway) -> dict[str, Any]:
    """The OpenAPI document of this gateway."""
    return describe(gateway.policy.identity, gateway.policy.cookies)


async def openapi(request: web.Request) -> web.Response:
    """What may be asked here, for programs; it holds nothing about anybody."""
    return web.json_response(description(request[GATEWAY]), headers=NO_STORE)


async def docs(request: web.Request) -> web.Response:
    """The same for people."""
    said = description(request[GATEWAY])
    info = said["info"]
    return page(
        request,
        "docs",
        base="/login",
        version=info["version"],
        about=info["description"],
        operations=outline(said),
        codes=codes(),
    )
