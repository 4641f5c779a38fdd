"""Logouts that an identity provider reports, and the icon on its button."""

from urllib.parse import parse_qsl

from aiohttp import web

from authgw.core.audit import account_fields
from authgw.core.errors import (
    BodyMalformedError,
    BodyTooLargeError,
    BodyUnsupportedError,
    LogoutTokenInvalidError,
)
from authgw.core.limits import MAX_CALLBACK_PARAMETERS, MAX_FORM_BYTES
from authgw.web.context import client_address, record
from authgw.web.forms import FORM
from authgw.web.json_body import read_bytes
from authgw.web.login_site import login_site
from authgw.web.problems import NO_STORE
from authgw.web.provider_requests import parts_of, provider_of


async def end_sessions(request: web.Request) -> web.Response:
    """End the sessions that a logout token names (OpenID Connect Back-Channel Logout section 2.5).

    Raises:
        LogoutTokenInvalidError: the token is not valid, or comes from another network.
        StoreUnavailableError: not all sessions could be ended, so the provider has to repeat it.
    """
    login_site(request)
    provider, parts = provider_of(request), parts_of(request)
    reporters = parts.reporters.get(provider.name)
    if reporters is not None and not reporters.trusts(client_address(request)):
        raise LogoutTokenInvalidError(cause="logout_network")
    for session in await parts.report(provider.name, await _logout_token(request)):
        sentence = f"logged out at {provider.source}"
        more = account_fields(provider.name, session.account)
        record(request, "revoke", sub=session.sub, sid=session.sid, sentence=sentence, more=more)
    return web.Response(status=200, headers=NO_STORE)


async def _logout_token(request: web.Request) -> str:
    """Return the only `logout_token` of a form; parameters that we do not know are ignored."""
    length = request.content_length
    if length is not None and length > MAX_FORM_BYTES:
        raise BodyTooLargeError
    if request.content_type != FORM or "Content-Encoding" in request.headers:
        raise BodyUnsupportedError
    raw = await read_bytes(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=MAX_CALLBACK_PARAMETERS,
        )
    except ValueError:
        raise BodyMalformedError("the body is not a form") from None
    tokens = [value for name, value in pairs if name == "logout_token"]
    if len(tokens) != 1 or not tokens[0]:
        raise BodyMalformedError("the form has not exactly one logout_token")
    return tokens[0]


async def icon(request: web.Request) -> web.Response:
    """Return the icon of a provider; it contains no personal data."""
    login_site(request)
    image = parts_of(request).icons.get(provider_of(request).name)
    if image is None:
        raise web.HTTPNotFound
    return web.Response(
        body=image.content,
        content_type=image.media_type,
        headers={
            "Cache-Control": "max-age=86400",
            "X-Content-Type-Options": "nosniff",
            # An SVG that a browser opens as a page is a document of this host.
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )
