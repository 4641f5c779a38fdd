"""The JSON endpoints on aiohttp, and the logout by cookie."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web
from multidict import CIMultiDict

from authgw.core.limits import MAX_JSON_BYTES
from authgw.forward_auth.response_bytes import Response
from authgw.web import api
from authgw.web.api_request import ApiRequest, JsonBody
from authgw.web.audit import record_logout
from authgw.web.context import GATEWAY, peer_of, record, request_id
from authgw.web.cookies import (
    all_session_tokens,
    delete_other_session_cookies,
    delete_session_cookie,
)
from authgw.web.forms import check_origin
from authgw.web.json_body import read_bytes
from authgw.web.login_site import login_site
from authgw.web.problems import NO_STORE

_BROWSER_HEADERS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")


def route(
    endpoint: Callable[[ApiRequest], Awaitable[Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of an endpoint."""

    async def handle(request: web.Request) -> web.Response:
        return _web_response(await endpoint(_api_request(request)))

    return handle


async def sessions(request: web.Request) -> web.Response:
    """List the sessions of a subject."""
    return _web_response(await api.sessions(_api_request(request), _query(request.query)))


async def logout(request: web.Request) -> web.Response:
    """End the session of a token or a cookie, or all sessions of its subject."""
    by_api, has_cookie = _api_request(request), bool(all_session_tokens(request))
    ending = await api.read_logout(by_api, has_cookie=has_cookie)
    if ending.token is None and has_cookie:
        return await _log_out_by_cookie(request, ending.everywhere)
    return _web_response(await api.end(by_api, ending))


def access_token(request: web.Request) -> str | None:
    """See `api.access_token`."""
    has_cookie = bool(all_session_tokens(request))
    return api.access_token(request.raw_headers, request[GATEWAY], has_cookie=has_cookie)


async def _log_out_by_cookie(request: web.Request, everywhere: bool) -> web.Response:
    site = login_site(request)
    check_origin(request, site)
    cookies = all_session_tokens(request)
    async for result in request[GATEWAY].services.sessions.log_out_by_cookie(
        cookies, everywhere=everywhere
    ):
        record_logout(partial(record, request), result)
    response = web.Response(headers=NO_STORE)
    delete_other_session_cookies(request, response, site)
    delete_session_cookie(response, site)
    return response


def _api_request(request: web.Request) -> ApiRequest:
    headers, known_id = request.raw_headers, request_id(request)
    line = (request.method, request.rel_url.raw_path)
    return ApiRequest(request[GATEWAY], line, headers, peer_of(request), _body(request), known_id)


def _body(request: web.Request) -> JsonBody:
    untyped = not request.headers.get("Content-Type", "").strip()
    return JsonBody(
        content=partial(read_bytes, request, MAX_JSON_BYTES),
        length=request.content_length if request.body_exists else 0,
        media_type="" if untyped else request.content_type,
        is_compressed="Content-Encoding" in request.headers,
        is_from_browser=any(header in request.headers for header in _BROWSER_HEADERS),
    )


def _query(query: Mapping[str, str]) -> dict[str, str]:
    return dict(query) if len(query) == 1 else {}


def _web_response(response: Response) -> web.Response:
    headers = CIMultiDict(response.headers)
    return web.Response(status=response.status, body=response.body or None, headers=headers)
