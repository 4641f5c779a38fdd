"""Endpoints of operators and load balancers: `/ping`, `/healthz`, `/readyz`, keys, documents."""

from typing import Any

from aiohttp import web

from authgw.web.context import GATEWAY, Gateway
from authgw.web.html import page
from authgw.web.openapi import codes, describe, outline
from authgw.web.problems import NO_STORE


async def ping(request: web.Request) -> web.Response:
    """Respond `pong`, without a look at any part."""
    return web.Response(text="pong", headers=NO_STORE)


async def healthz(request: web.Request) -> web.Response:
    """Report that this process runs, independently of its store."""
    return web.Response(text="ok", headers=NO_STORE)


async def readyz(request: web.Request) -> web.Response:
    """Report whether this replica is ready: its store responds, and it is not draining."""
    obstacle = await request[GATEWAY].services.ready()
    if obstacle:
        return web.Response(status=503, text=obstacle, headers={**NO_STORE, "Retry-After": "1"})
    return web.Response(text="ready", headers=NO_STORE)


async def stylesheet(request: web.Request) -> web.Response:
    """Return the style sheet of the pages; it contains no personal data."""
    return web.Response(
        text=request[GATEWAY].login.pages.stylesheet,
        content_type="text/css",
        headers={"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"},
    )


async def icon(request: web.Request) -> web.Response:
    """Return the icon of the pages; it contains no personal data."""
    return web.Response(
        text=request[GATEWAY].login.pages.icon,
        content_type="image/svg+xml",
        headers={
            "Cache-Control": "max-age=86400",
            "X-Content-Type-Options": "nosniff",
            # For a browser that opens the image as a page.
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        },
    )


async def jwks(request: web.Request) -> web.Response:
    """Return the public keys that verify our tokens (RFC 7517 section 5)."""
    gateway = request[GATEWAY]
    return web.json_response(gateway.services.keys.jwks(gateway.services.clock()), headers=NO_STORE)


def description(gateway: Gateway) -> dict[str, Any]:
    """Return the OpenAPI document of this gateway."""
    return describe(gateway.policy.identity, gateway.policy.cookies)


async def openapi(request: web.Request) -> web.Response:
    """Return the OpenAPI document; it contains no personal data."""
    return web.json_response(description(request[GATEWAY]), headers=NO_STORE)


async def docs(request: web.Request) -> web.Response:
    """Return the page that shows the OpenAPI document to people."""
    document = description(request[GATEWAY])
    info = document["info"]
    return page(
        request,
        "docs",
        base="/login",
        version=info["version"],
        about=info["description"],
        operations=outline(document),
        codes=codes(),
    )
