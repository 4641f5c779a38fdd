"""Logins at a provider that wait for a second factor of this gateway.

The ticket in the browser names an encrypted record in the store, as groups do not fit into it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from authgw.core.errors import AuthgwError
from authgw.core.records import Records
from authgw.core.sealing import SealBrokenError, Sealer
from authgw.core.strict_json import read_object
from authgw.core.tokens import Issuer, TicketClaims, Token, TokenType
from authgw.core.users import User
from authgw.services.login_tickets import PENDING_LIFETIME
from authgw.services.providers.results import FinishedLogin
from authgw.services.results import LoginRequest, VerifiedLogin
from authgw.services.sessions import jti

_KIND = "pending"
# The mark of its tickets; that of a password is a hash.
_MARK = "provider"
_LISTS = ("groups", "amr")


class PendingProviderLogins:
    """Keeps logins until their code; `find` returns the user of a name.

    `clock` returns Unix seconds. Of several uses of a login at once, a single use succeeds.

    Raises:
        StoreUnavailableError: from every method, if the outcome is unknown.
    """

    def __init__(
        self,
        records: Records,
        sealer: Sealer,
        issuer: Issuer,
        find: Callable[[str], User | None],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._records = records
        self._sealer = sealer
        self._issuer = issuer
        self._find = find
        self._clock = clock

    async def hold(self, found: FinishedLogin) -> str:
        """Keep a login; return the token that resumes it."""
        ticket, now = jti(), self._clock()
        login = asdict(found.login)
        # The session is opened for the device that sends the code.
        del login["client"]
        text = json.dumps({"login": login, "secret": found.secret.encode()})
        sealed = self._sealer.seal(_KIND, ticket, text, now)
        await self._records.put(_name(ticket), sealed, PENDING_LIFETIME)
        claims = TicketClaims(ticket, PENDING_LIFETIME, _MARK)
        return self._issuer.mint_ticket(found.login.sub, TokenType.PENDING, claims, now=now)

    async def resume(self, texts: Sequence[str]) -> VerifiedLogin | None:
        """Return the login of the first valid token, or None; it can be resumed again."""
        tokens = [self._ticket(text) for text in texts]
        token = next(filter(None, tokens), None)
        user = self._find(token.sub) if token else None
        if token is None or user is None or user.disabled:
            return None
        sealed = await self._records.get(_name(token.jti))
        return None if sealed is None else self._opened(token, user, sealed)

    async def take(self, verified: VerifiedLogin) -> bool:
        """Use up a resumed login; return False if it was used before or has expired."""
        return await self._records.take(_name(verified.ticket_id)) is not None

    def _ticket(self, text: str) -> Token | None:
        try:
            token = self._issuer.verify(text, TokenType.PENDING, now=self._clock())
        except AuthgwError:
            return None
        return token if token.mark == _MARK else None

    def _opened(self, token: Token, user: User, sealed: str) -> VerifiedLogin | None:
        try:
            members = read_object(self._sealer.unseal(_KIND, token.jti, sealed).encode())
            login = _login(members["login"])
            secret = str(members["secret"])
        except (SealBrokenError, ValueError, KeyError, TypeError):
            # Another version wrote it, or the store was changed: the user logs in again.
            return None
        return VerifiedLogin(
            user,
            login.password_mark,
            login.amr,
            auth_time=login.auth_time,
            pending=login,
            secret=secret,
            ticket_id=token.jti,
        )


def _login(members: dict[str, Any]) -> LoginRequest:
    lists = {name: tuple(members[name]) for name in _LISTS}
    return LoginRequest(**{**members, **lists})


def _name(ticket: str) -> str:
    return f"pending:{ticket}"
