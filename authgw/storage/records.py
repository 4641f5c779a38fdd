"""Session records that a store has read, as sessions and snapshots."""

from collections import deque
from weakref import WeakValueDictionary

from authgw.core.errors import StoreUnavailableError
from authgw.core.limits import MAX_KEPT_SESSIONS
from authgw.core.session_codec import load
from authgw.core.sessions import Session, Snapshot

# Sessions in use by their records: most reads find a record that was decoded before.
_SESSIONS: WeakValueDictionary[str, Session] = WeakValueDictionary()
# Those that were decoded last stay as well, for a session that is used every few seconds.
_KEPT: deque[Session] = deque(maxlen=MAX_KEPT_SESSIONS)


def session_in(record: object, sid: str) -> Session:
    """Return the session in the record of this sid; a store can contain any type of value.

    Raises:
        StoreUnavailableError: it is not a record of this session.
    """
    try:
        if not isinstance(record, str):
            raise ValueError("not text")  # noqa: TRY004  the record is wrong, not the caller
        session = _SESSIONS.get(record)
        if session is None:
            session = _SESSIONS[record] = load(record)
            _KEPT.append(session)
    except ValueError:
        # Neither "ended" nor "active" would be true: the record is something else.
        raise StoreUnavailableError("a session record cannot be read") from None
    if session.sid != sid:
        raise StoreUnavailableError("a session record is that of another session")
    return session


def snapshot_in(record: object, sid: str, now: float) -> Snapshot | StoreUnavailableError:
    """Return the snapshot of a record that was read at `now`, None for an absent session.

    A record that cannot be read results in the error, which must not affect other sessions.
    """
    if record is None:
        return Snapshot(None, now)
    try:
        return Snapshot(session_in(record, sid), now, str(record))
    except StoreUnavailableError as error:
        return error
