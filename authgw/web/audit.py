"""Audit events about sessions: an event for each session that is opened or ended."""

from collections.abc import Iterable
from typing import Protocol

from authgw.core.audit import Fields
from authgw.services.results import LogoutResult


class RecordSession(Protocol):
    """Records an event of a request about a session."""

    def __call__(
        self,
        name: str,
        *,
        sub: str,
        sid: str,
        sentence: str = "",
        credential: str = "",
        more: Fields = (),
    ) -> None:
        """Record it."""


def record_login(
    record: RecordSession,
    sub: str,
    sid: str,
    sentence: str,
    credential: str,
    displaced: Iterable[str],
    more: Fields = (),
) -> None:
    """Record a login with its credential, and the revocation of the `displaced` sessions."""
    record("login", sub=sub, sid=sid, sentence=sentence, credential=credential, more=more)
    for displaced_sid in displaced:
        record("revoke", sub=sub, sid=displaced_sid, sentence="over auth.max_sessions")


def record_logout(record: RecordSession, result: LogoutResult, more: Fields = ()) -> None:
    """Record a logout, and the revocation of the subject's other sessions that it ended."""
    record("logout", sub=result.token.sub, sid=result.token.sid, more=more)
    for other_sid in result.others:
        record("revoke", sub=result.token.sub, sid=other_sid, sentence="logged out everywhere")
