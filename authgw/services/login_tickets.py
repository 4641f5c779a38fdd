"""Signed tickets of the login, kept by the browser: one waits for its code, one marks a device."""

from collections.abc import Callable, Sequence

from authgw.core.errors import AuthgwError
from authgw.core.tokens import Issuer, TicketClaims, Token, TokenType
from authgw.core.users import PASSWORD, TOTP
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.services.results import VerifiedLogin
from authgw.services.sessions import jti

PENDING_FOR = 300.0  # seconds between the password and the code


class LoginTickets:
    """Issues and reads the tickets of people of the users file; `device_life` is in seconds."""

    def __init__(
        self,
        users: WatchedUsersFile,
        issuer: Issuer,
        *,
        device_life: float,
        clock: Callable[[], float],
    ) -> None:
        self._users = users
        self._issuer = issuer
        self._device_life = device_life
        self._clock = clock

    def pending(self, known: VerifiedLogin) -> str:
        """The token of a log-in that waits for its code."""
        ticket = TicketClaims(jti(), PENDING_FOR, known.mark)
        sub = known.person.sub
        return self._issuer.mint_ticket(sub, TokenType.PENDING, ticket, now=self._clock())

    def resume(self, texts: Sequence[str]) -> VerifiedLogin | None:
        """The log-in of a `pending` token; None if it is none, too old, or the password changed."""
        tokens = [self._ticket(text, TokenType.PENDING) for text in texts]
        token = next(filter(None, tokens), None)
        person = self._users.find(token.sub) if token else None
        if token is None or person is None or person.disabled:
            return None
        said = str(token.claims.get("mark", ""))
        return VerifiedLogin(person, said, (PASSWORD,)) if said in person.password_marks else None

    def remember(self, known: VerifiedLogin) -> str:
        """The token by which this person's device is known at its next log-in."""
        ticket = TicketClaims(jti(), self._device_life, f"{known.amr[-1]}:{known.mark}")
        sub = known.person.sub
        return self._issuer.mint_ticket(sub, TokenType.DEVICE, ticket, now=self._clock())

    def device(self, texts: Sequence[str], user: str, *, by_code: bool = False) -> str:
        """The id of a device on which this person has logged in before, else nothing.

        A log-in by a former password does not count. `by_code`: only one with a second factor
        does, or whoever knows the password could have as many devices as he wants.
        """
        sub = self._users.name_of(user)
        person = self._users.find(sub)
        for token in filter(None, [self._ticket(text, TokenType.DEVICE) for text in texts]):
            how, _, said = str(token.claims.get("mark", "")).partition(":")
            known = token.sub == sub and person is not None and said in person.password_marks
            if known and (how == TOTP or not by_code):
                return token.jti
        return ""

    def _ticket(self, text: str, kind: TokenType) -> Token | None:
        try:
            return self._issuer.verify(text, kind, now=self._clock())
        except AuthgwError:
            return None
