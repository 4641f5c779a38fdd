"""Audit events about sessions: an event for each session that is opened or ended."""

from collections.abc import Iterable

from aiohttp import web

from authgw.services.results import LogoutResult
from authgw.web.context import record


def record_login(
    request: web.Request, sub: str, sid: str, detail: str, displaced: Iterable[str]
) -> None:
    """Record a login, and the revocation of the `displaced` sessions."""
    record(request, "login", sub=sub, sid=sid, detail=detail)
    for displaced_sid in displaced:
        record(request, "revoke", sub=sub, sid=displaced_sid, detail="over auth.max_sessions")


def record_logout(request: web.Request, result: LogoutResult) -> None:
    """Record a logout, and the revocation of the subject's other sessions that it ended."""
    record(request, "logout", sub=result.token.sub, sid=result.token.sid)
    for other_sid in result.others:
        record(
            request, "revoke", sub=result.token.sub, sid=other_sid, detail="logged out everywhere"
        )
