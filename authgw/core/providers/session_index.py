"""Names of the records by which a logout at an identity provider finds its sessions.

Back-channel logout (OpenID Connect Back-Channel Logout 1.0 section 2.7): the login adds the sid of
its session to the set of the account, and to that of the provider's session. A logout writes its
time first, then ends the sessions in the set. The login reads that time after it has added its
session, so one of the two always finds the other's write.
"""

import json

from authgw.core.sessions import Session

GONE_LIFETIME = 900.0  # seconds; a login that began before the logout has ended by then


def account_sessions(issuer: str, account: str) -> str:
    """Return the name of the set with the sids of an account (`sub`)."""
    return _name("who", issuer, account)


def idp_sessions(issuer: str, idp_sid: str) -> str:
    """Return the name of the set with the sids of a session at the provider (`sid`)."""
    return _name("idp", issuer, idp_sid)


def account_gone(issuer: str, account: str) -> str:
    """Return the name of the record with the time of the last logout of an account."""
    return _name("gone-who", issuer, account)


def idp_session_gone(issuer: str, idp_sid: str) -> str:
    """Return the name of the record with the time of the logout of a session at the provider."""
    return _name("gone-idp", issuer, idp_sid)


def sets_of(session: Session) -> tuple[str, ...]:
    """Return the names of the sets that contain the sid of this session."""
    if not session.issuer:
        return ()
    names = (account_sessions(session.issuer, session.account),)
    return (*names, idp_sessions(session.issuer, session.idp_sid)) if session.idp_sid else names


def gone_records_of(session: Session) -> tuple[str, ...]:
    """Return the names of the records that a login reads after it has added this session."""
    if not session.issuer:
        return ()
    names = (account_gone(session.issuer, session.account),)
    return (*names, idp_session_gone(session.issuer, session.idp_sid)) if session.idp_sid else names


def gone_text(iat: float, before: str | None = None) -> str:
    """Return the record of a logout at `iat`; an earlier record keeps a later time."""
    return repr(max(iat, _time_in(before)))


def is_undone(session: Session, *gone: str | None) -> bool:
    """Return True if a record of `gone_records_of` has a logout that the session must not outlive.

    Equal times count as a logout after the login: claims have whole seconds.
    """
    return any(text is not None and session.proved_at <= _time_in(text) for text in gone)


def is_meant(
    session: Session, issuer: str, account: str | None, idp_sid: str | None, *, latest: float
) -> bool:
    """Return True if a logout of this account or session at the provider ends the session.

    With both, only that session of the account is meant; a session without `idp_sid` could be it.
    `latest` is the greatest time of a login that the logout can mean: its `iat` and the skew.
    """
    if not session.issuer or session.issuer != issuer or session.proved_at > latest:
        return False
    if account is not None and session.account != account:
        return False
    if not idp_sid:
        return account is not None
    return session.idp_sid == idp_sid or (account is not None and not session.idp_sid)


def _name(kind: str, issuer: str, value: str) -> str:
    # JSON separates the two values unambiguously.
    return f"{kind}:{json.dumps([issuer, value])}"


def _time_in(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        # Written by another version: no session may outlive a logout at an unknown time.
        return float("inf")
