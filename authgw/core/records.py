"""Interface of records: short texts and sets of texts by name, each with an expiry.

Names are any text that UTF-8 can encode; a store keeps their hashes, so that no name becomes part
of a key. A value that is a secret is encrypted before (`core.sealing`).
"""

import hashlib
from typing import Protocol

from authgw.core.base64url import base64url


class Records(Protocol):
    """Records and sets by name, shared by the replicas; a record and a set have separate names.

    Raises:
        StoreUnavailableError: from every method, if the outcome is unknown.
    """

    async def put(self, name: str, text: str, seconds: float) -> None:
        """Write a record, which expires after `seconds`; it replaces an earlier record."""

    async def get(self, name: str) -> str | None:
        """Return the text of a record, None without a record."""

    async def take(self, name: str) -> str | None:
        """Delete a record and return its text, None without a record.

        Of several calls at once, a single call gets the text.
        """

    async def add_member(self, name: str, member: str, seconds: float) -> None:
        """Add a text to a set, which expires no earlier than after `seconds`.

        A member that is added again is the newest. A full set (`limits.MAX_RECORD_MEMBERS`) drops
        its oldest member. A set expires as a whole.
        """

    async def members(self, name: str) -> tuple[str, ...]:
        """Return the members of a set, oldest first; empty without a set."""


def record_hash(name: str) -> str:
    """Return the 43 characters that stand for a name in every store: the whole SHA-256.

    It is not cut like the hash of a subject: nothing verifies the name when a record is read, so
    no two names may have the same hash, whoever chooses them.
    """
    return base64url(hashlib.sha256(name.encode()).digest()).decode("ascii")
