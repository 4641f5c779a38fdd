"""The secret that a session keeps of its login: tokens of the provider, encrypted in its record."""

import json
from dataclasses import dataclass, field

from authgw.core.sealing import SealBrokenError, Sealer
from authgw.core.sessions import Session
from authgw.core.strict_json import read_object

_KIND = "provider"
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class ProviderSecret:
    """Tokens that a session keeps: for checks of the account, and for a logout with a hint.

    A token that is not needed is empty.
    """

    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)

    def encode(self) -> str:
        """Return the text that is encrypted, empty without tokens."""
        members = {"refresh_token": self.refresh_token, "id_token": self.id_token}
        kept = {name: token for name, token in members.items() if token}
        return _ENCODE(kept) if kept else ""

    @classmethod
    def decode(cls, text: str) -> "ProviderSecret":
        """Return the tokens of an encoded text.

        Raises:
            SealBrokenError: another version of authgw made the text.
        """
        try:
            return cls(**read_object(text.encode()))
        except (ValueError, TypeError):
            raise SealBrokenError from None


def seal(sealer: Sealer, secret: ProviderSecret, sid: str, now: float) -> str:
    """Return the secret encrypted for a session, empty without tokens."""
    return seal_text(sealer, secret.encode(), sid, now)


def seal_text(sealer: Sealer, text: str, sid: str, now: float) -> str:
    """Return an encoded secret encrypted for a session, empty without tokens."""
    return sealer.seal(_KIND, sid, text, now) if text else ""


def unseal(sealer: Sealer, session: Session) -> ProviderSecret:
    """Return the secret of a session, without tokens if it has none.

    Raises:
        SealBrokenError: it cannot be opened.
    """
    if not session.sealed:
        return ProviderSecret()
    return ProviderSecret.decode(sealer.unseal(_KIND, session.sid, session.sealed))
