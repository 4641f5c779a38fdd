"""Audit events about sessions: each opened or ended session is recorded once."""

from collections.abc import Iterable

from aiohttp import web

from authgw.services.results import LogoutResult
from authgw.web.context import record


def record_login(
    request: web.Request, sub: str, sid: str, detail: str, displaced: Iterable[str]
) -> None:
    """Record a new session, and the `displaced` sessions that it ended."""
    record(request, "login", sub=sub, sid=sid, detail=detail)
    for ended in displaced:
        record(request, "revoke", sub=sub, sid=ended, detail="over auth.max_sessions")


def record_log_out(request: web.Request, gone: LogoutResult) -> None:
    """Record a logout and the other sessions of the subject that it ended."""
    record(request, "logout", sub=gone.token.sub, sid=gone.token.sid)
    for other in gone.others:
        record(request, "revoke", sub=gone.token.sub, sid=other, detail="logged out everywhere")
