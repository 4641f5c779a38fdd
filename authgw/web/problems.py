"""Refusals as application/problem+json (RFC 9457), without any text of the request."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from authgw.core.audit import Target
from authgw.core.errors import AuthgwError
from authgw.core.reasons import REASONS, refusal_headers
from authgw.dialects.headers import wants_html
from authgw.forward_auth.problems import failure_event, problem_body, refusal_event
from authgw.web.context import GATEWAY, client_address, request_id, target_of
from authgw.web.html import problem_page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NO_STORE = {"Cache-Control": "no-store"}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn an exception of a handler into a response; an unexpected exception becomes a 500."""
    try:
        return await handler(request)
    except AuthgwError as error:
        return refusal(request, error)
    except web.HTTPMethodNotAllowed as error:
        allow = ",".join(sorted(error.allowed_methods))
        return _respond(request, "method_not_allowed", headers={"Allow": allow})
    except web.HTTPRequestEntityTooLarge:
        return _respond(request, "body_too_large")
    except web.HTTPException:
        return _respond(request, "not_found")
    except Exception as error:
        return failure(request, error)


def failure(request: web.Request, error: BaseException) -> web.Response:
    """Record an unexpected exception and return its response."""
    services = request[GATEWAY].services
    services.record(failure_event(error, *_origin(request)))
    return _respond(request, "internal_error")


def refusal(request: web.Request, error: AuthgwError) -> web.Response:
    """Record a refusal and return its response."""
    services = request[GATEWAY].services
    services.record(refusal_event(error, *_origin(request)))
    response = _respond(request, error.code, error.detail, error.retry_after)
    if error.status == 408:
        # RFC 9110 section 15.5.9: the rest of the body could be read as the next request.
        response.force_close()
    return response


def _origin(request: web.Request) -> tuple[str, str, Target]:
    """Return id, client address and target of a request, for its event."""
    return request_id(request), client_address(request), target_of(request)


def _respond(
    request: web.Request,
    code: str,
    detail: str = "",
    retry_after: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return a page for a browser on our own pages, else a problem document."""
    all_headers = {
        **refusal_headers(code, retry_after=retry_after, request_id=request_id(request)),
        **(headers or {}),
    }
    if not shows_page(request):
        return _problem(request, code, detail, all_headers)
    # Details of the store are for the log only.
    response = problem_page(request, code, detail if REASONS[code].status < 500 else "")
    response.headers.update(all_headers)
    return response


def shows_page(request: web.Request) -> bool:
    """Return True if a browser would show the response as a page of ours."""
    ours = request.path == "/logout" or request.path.startswith("/login")
    return ours and bool(request[GATEWAY].policy.sites.all) and wants_html(request.raw_headers)


def _problem(
    request: web.Request, code: str, detail: str, headers: Mapping[str, str]
) -> web.Response:
    # RFC 9457 section 3 defines no charset, which aiohttp would add to a text.
    return web.Response(
        status=REASONS[code].status,
        body=problem_body(code, detail, request_id(request)),
        content_type="application/problem+json",
        headers=headers,
    )
