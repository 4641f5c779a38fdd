"""Compact form of session records: the items of a JSON array without names, of a third of the size.

In order: the end of the sid and the jtis of access and refresh token in a text, subject, source,
creation, end, expiry of the access token, user id (`true` if the subject is that number), address,
User-Agent; then issue of the tokens, generation and so on. Times after the creation are the
seconds since then, except those of an identity provider. Items at the end are left out if they have
their usual value. A sid begins with the subject's hash, which is not stored.
"""

from sys import intern
from typing import Any

from authgw.core.sessions import Device, Generation, Session, end_of_sid, sid_with_end

# The usual values of the last items.
_USUAL: tuple[Any, ...] = (
    *(0, 0, None, None, None, True, (), "", "", (), ""),
    *(0.0, 0.0, "", "", "", 0.0, 0.0, "", ""),
)
_REQUIRED = 9  # items
_PROFILE = 15  # items before the groups
_USUAL_PROFILE = [*_USUAL[_PROFILE - _REQUIRED :]]


def items_of(session: Session) -> list[Any] | None:
    """Return the items of a session's record, None if they could not restore it exactly."""
    start, current, rotated_at = session.created_at, session.current, session.rotated_at
    ids = f"{end_of_sid(session.sid)} {current.access_jti} {current.refresh_jti}"
    end, refresh_end = session.expires_at, current.refresh_exp
    expires_at, iat = _since(start, end), _since(start, current.iat)
    access_exp = _since(start, current.access_exp)
    refresh_exp = None if refresh_end == end else _since(start, refresh_end)
    rotated = None if rotated_at is None else _since(start, rotated_at)
    is_exact = (
        start + expires_at == end
        and start + iat == current.iat
        and start + access_exp == current.access_exp
        and (refresh_exp is None or start + refresh_exp == refresh_end)
        and (rotated is None or start + rotated == rotated_at)
    )
    if not is_exact or ids.count(" ") != 2:
        return None
    items = [
        ids,
        session.sub,
        session.source,
        start,
        expires_at,
        access_exp,
        True if str(session.user_id) == session.sub else session.user_id,
        session.client.address,
        session.client.user_agent,
        iat,
        session.gen,
        refresh_exp,
        session.previous_refresh_jti,
        rotated,
        session.confirmed,
        session.groups,
        session.email,
        session.name,
        session.amr,
        session.password_mark,
        session.auth_time,
        session.factor_time,
        session.issuer,
        session.account,
        session.idp_sid,
        session.checked_at,
        session.tried_at,
        session.groups_from,
        session.sealed,
    ]
    return items[: _kept(items)]


def session_of(items: list[Any]) -> Session:
    """Return the session with these items, some types unchecked; ignore newer items.

    Raises:
        TypeError, ValueError, IndexError: these are not the items of a session.
    """
    ids, sub, source, start, expires, access, user_id, address, agent, *rest = items
    rest += _USUAL[len(rest) :]
    iat, gen, refresh, previous, rotated, confirmed, groups, email, name, amr, mark = rest[:11]
    auth_time, factor_time, issuer, account, idp_sid, checked_at, tried_at = rest[11:18]
    groups_from, sealed = rest[18:20]
    end, access_jti, refresh_jti = ids.split(" ")
    expires_at = start + expires
    refresh_exp = expires_at if refresh is None else start + refresh
    return Session(
        sid_with_end(sub, end),
        sub,
        int(sub) if user_id is True else user_id,
        tuple(map(intern, groups)) if groups else (),
        email,
        name,
        intern(source),
        start + 0.0,
        expires_at,
        gen,
        Generation(access_jti, refresh_jti, start + iat, start + access, refresh_exp),
        previous,
        None if rotated is None else start + rotated,
        confirmed,
        Device(intern(agent), intern(address)),
        tuple(map(intern, amr)) if amr else (),
        mark,
        _time(auth_time),
        _time(factor_time),
        intern(issuer),
        account,
        idp_sid,
        _time(checked_at),
        _time(tried_at),
        intern(groups_from),
        sealed,
    )


def _time(item: Any) -> float:
    # A sum would be an object of its own in each session, also for the usual 0.0.
    return item if type(item) is float else item + 0.0


def _since(start: float, time: float) -> float:
    seconds = time - start
    whole = int(seconds)
    return whole if whole == seconds else seconds


def _kept(items: list[Any]) -> int:
    """Return the number of items up to the last that differs from its usual value."""
    kept = len(items)
    if items[_PROFILE:] == _USUAL_PROFILE:
        kept = _PROFILE
    while kept > _REQUIRED and items[kept - 1] == _USUAL[kept - 1 - _REQUIRED]:
        kept -= 1
    return kept
