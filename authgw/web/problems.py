"""Every refusal as application/problem+json (RFC 9457), and no word of what was received."""

import json
import math
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from authgw.core.errors import REASONS, AuthgwError, RequestMalformedError, TooManyFailuresError
from authgw.dialects.headers import wants_html
from authgw.dialects.responses import challenge
from authgw.web.aiohttp_internals import is_too_long
from authgw.web.context import GATEWAY, record, request_id
from authgw.web.html import problem_page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_EVENTS = {
    "refresh_reused": "refresh_reuse",
    "client_unknown": "login_failure",
    "client_forbidden": "login_failure",
    "too_many_failures": "login_failure",
    "too_busy": "login_failure",
    "login_failed": "login_failure",
    "totp_required": "login_failure",
}
NO_STORE = {"Cache-Control": "no-store"}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into one answer; what nobody foresaw is a 500."""
    try:
        return await handler(request)
    except AuthgwError as error:
        return refusal(request, error)
    except web.HTTPMethodNotAllowed as error:
        allow = ",".join(sorted(error.allowed_methods))
        return _as_asked(request, "method_not_allowed", headers={"Allow": allow})
    except web.HTTPRequestEntityTooLarge:
        return _as_asked(request, "body_too_large")
    except web.HTTPException:
        return _as_asked(request, "not_found")
    except Exception as error:
        return failure(request, error)


def failure(request: web.Request, error: BaseException) -> web.Response:
    """The answer where an error was raised that nothing handles."""
    # Its message may hold what a client sent; where it was raised says enough.
    record(request, "failure", reason="internal_error", detail=_whereabouts(error))
    return _as_asked(request, "internal_error")


def unreadable(request: web.Request, error: BaseException | None) -> web.Response:
    """The answer to a request that aiohttp's parser refuses: its message repeats what was sent."""
    note = "a line of its head is too long" if is_too_long(error) else ""
    return refusal(request, RequestMalformedError(note))


def refusal(request: web.Request, error: AuthgwError) -> web.Response:
    """The answer to a refusal, which is recorded."""
    record(
        request,
        _EVENTS.get(error.code, "deny"),
        sub=error.sub,
        sid=error.sid,
        reason=error.code,
        detail=error.note or error.detail,
    )
    headers = {}
    if error.status == 401:
        basic = error.code == "client_unknown"
        headers["WWW-Authenticate"] = 'Basic realm="authgw"' if basic else challenge(error.code)
    if error.status == 503:
        headers["Retry-After"] = "1"
    if isinstance(error, TooManyFailuresError):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    answer = _as_asked(request, error.code, error.detail, headers)
    if error.status == 408:
        # RFC 9110 section 15.5.9: the rest of the body may be what comes next.
        answer.force_close()
    return answer


def _as_asked(
    request: web.Request, code: str, detail: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a page for a browser at our own pages, else a problem document."""
    if not for_a_person(request):
        return problem(request, code, detail, headers)
    # What the store said is for the log.
    answer = problem_page(request, code, detail if REASONS[code].status < 500 else "")
    answer.headers.update(headers or {})
    return answer


def for_a_person(request: web.Request) -> bool:
    """Whether a browser would show the answer as a page of ours."""
    ours = request.path == "/logout" or request.path.startswith("/login")
    return ours and bool(request[GATEWAY].policy.sites.all) and wants_html(request.raw_headers)


def problem(
    request: web.Request, code: str, detail: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    """A problem document of this code, as REASONS describes it."""
    reason = REASONS[code]
    body = {
        "type": "about:blank",
        "title": reason.meaning,
        "status": reason.status,
        "code": code,
        "detail": detail or reason.remedy,
        "request_id": request_id(request),
    }
    said = {"X-Authgw-Reason": code, "X-Request-ID": request_id(request)}
    # RFC 9457 section 3 knows no charset, which aiohttp would add to a text.
    return web.Response(
        status=reason.status,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers={**NO_STORE, **said, **(headers or {})},
    )


def _whereabouts(error: BaseException) -> str:
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"
