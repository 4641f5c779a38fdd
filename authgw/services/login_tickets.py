"""Signed tickets in the browser: a login that waits for its second factor, and a known device."""

from collections.abc import Callable, Sequence

from authgw.core.errors import AuthgwError
from authgw.core.tokens import Issuer, TicketClaims, Token, TokenType
from authgw.core.users import PASSWORD
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.services.results import VerifiedLogin
from authgw.services.sessions import jti

PENDING_LIFETIME = 300.0  # seconds between the first step and the second factor


class LoginTickets:
    """Issues and reads tickets of the users file's users; `device_lifetime` is in seconds."""

    def __init__(
        self,
        users: WatchedUsersFile,
        issuer: Issuer,
        *,
        device_lifetime: float,
        clock: Callable[[], float],
    ) -> None:
        self._users = users
        self._issuer = issuer
        self._device_lifetime = device_lifetime
        self._clock = clock

    def pending(self, verified: VerifiedLogin) -> str:
        """Return the token of a login that waits for its second factor."""
        # A password's ticket names no method, as in earlier versions.
        amr = "" if verified.amr == (PASSWORD,) else f"{'+'.join(verified.amr)}:"
        ticket = TicketClaims(jti(), PENDING_LIFETIME, f"{amr}{verified.mark}")
        sub = verified.user.sub
        return self._issuer.mint_ticket(sub, TokenType.PENDING, ticket, now=self._clock())

    def resume(self, texts: Sequence[str]) -> VerifiedLogin | None:
        """Return the login of the first valid `pending` token.

        None without a valid token, or if the password has changed since.
        """
        tokens = [self._ticket(text, TokenType.PENDING) for text in texts]
        token = next(filter(None, tokens), None)
        user = self._users.find(token.sub) if token else None
        if token is None or user is None or user.disabled:
            return None
        amr, _, mark = token.mark.rpartition(":")
        methods = tuple(amr.split("+")) if amr else (PASSWORD,)
        if mark not in user.password_marks:
            return None
        return VerifiedLogin(user, mark, methods, auth_time=token.exp - PENDING_LIFETIME)

    def remember(self, verified: VerifiedLogin) -> str:
        """Return the token that identifies the device at the user's next login."""
        ticket = TicketClaims(jti(), self._device_lifetime, f"{verified.amr[-1]}:{verified.mark}")
        sub = verified.user.sub
        return self._issuer.mint_ticket(sub, TokenType.DEVICE, ticket, now=self._clock())

    def device(self, texts: Sequence[str], name: str, *, factor: str = "") -> str:
        """Return the id of a device on which this user has logged in before, else "".

        Logins with a former password do not count. With `factor`, the `amr` value of a second
        factor, only logins with it count; otherwise an attacker who knows the password could
        register any number of devices.
        """
        sub = self._users.name_of(name)
        user = self._users.find(sub)
        for token in filter(None, [self._ticket(text, TokenType.DEVICE) for text in texts]):
            method, _, mark = token.mark.partition(":")
            is_valid = token.sub == sub and user is not None and mark in user.password_marks
            if is_valid and factor in ("", method):
                return token.jti
        return ""

    def _ticket(self, text: str, kind: TokenType) -> Token | None:
        try:
            return self._issuer.verify(text, kind, now=self._clock())
        except AuthgwError:
            return None
