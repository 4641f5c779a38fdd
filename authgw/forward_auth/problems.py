"""Refusals as application/problem+json (RFC 9457), without any text of the request."""

import json

from authgw.core.audit import Event, Target
from authgw.core.errors import AuthgwError
from authgw.core.reasons import REASONS, refusal_headers
from authgw.forward_auth.response_bytes import Response


def problem(
    code: str, request_id: str, *, detail: str = "", retry_after: float | None = None
) -> Response:
    """Return the problem document of a refusal with this code."""
    headers = refusal_headers(code, retry_after=retry_after, request_id=request_id)
    # RFC 9457 section 3 defines no charset.
    headers["Content-Type"] = "application/problem+json"
    body = problem_body(code, detail, request_id)
    return Response(REASONS[code].status, (*headers.items(),), body, reason=code)


def problem_body(code: str, detail: str, request_id: str) -> bytes:
    """Return the JSON of a problem document."""
    reason = REASONS[code]
    body = {
        "type": "about:blank",
        "title": reason.meaning,
        "status": reason.status,
        "code": code,
        "detail": detail or reason.remedy,
        "request_id": request_id,
    }
    return json.dumps(body).encode()


def refusal_event(error: AuthgwError, request_id: str, address: str, target: Target) -> Event:
    """Return the event of a refused request to this target."""
    return Event(
        REASONS[error.code].event,
        request_id,
        address,
        error.sub,
        error.sid,
        error.code,
        error.note or error.detail,
        target=target,
        cause=error.cause,
        more=error.log_fields,
    )


def failure_event(error: BaseException, request_id: str, address: str, target: Target) -> Event:
    """Return the event of an unexpected exception at a request to this target."""
    # The message of the exception may contain data of the client, so only its origin is logged.
    code = "internal_error"
    event, origin = REASONS[code].event, _origin(error)
    return Event(event, request_id, address, reason=code, sentence=origin, target=target)


def _origin(error: BaseException) -> str:
    """Return the type of an exception and the line that raised it."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"
