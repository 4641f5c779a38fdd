"""Finds the sessions that a logout at an identity provider ends.

A login announces its session before it is stored, so that a logout finds it, and looks for a
logout afterwards: of a login and a logout at the same time, at least the later one finds the other.
"""

from authgw.core.providers.session_index import gone_records_of, is_undone, sets_of
from authgw.core.records import Records
from authgw.core.sessions import Session


class ProviderSessionIndex:
    """Sets of the sessions of accounts (`ports.SessionIndex`).

    `session_max` is the longest life of a session in seconds.
    """

    def __init__(self, records: Records, session_max: float) -> None:
        self._records = records
        self._session_max = session_max

    async def announce(self, session: Session) -> None:
        """See `SessionIndex.announce`."""
        for name in sets_of(session):
            await self._records.add_member(name, session.sid, self._session_max)

    async def has_ended(self, session: Session) -> bool:
        """See `SessionIndex.has_ended`."""
        found = [await self._records.get(name) for name in gone_records_of(session)]
        return is_undone(session, *found)
