"""Links that log a user of the users file in once, while nobody logs in by password."""

from collections.abc import Callable

from authgw.core.counters import Counters
from authgw.core.errors import AuthgwError, RescueInvalidError, TokenExpiredError
from authgw.core.tokens import LEEWAY, Issuer, TicketClaims, Token, TokenType
from authgw.core.users import USERS, User, UserDirectory
from authgw.services.results import VerifiedLogin
from authgw.services.sessions import jti

RESCUE_LIFETIME = 900.0  # seconds
# Method of a login by such a link; RFC 8176 has no value for it.
RESCUE = "rescue"


def rescue_ticket(issuer: Issuer, sub: str, password_mark: str, *, now: float) -> str:
    """Return the ticket of a link for this user; another password makes it invalid."""
    ticket = TicketClaims(jti(), RESCUE_LIFETIME, password_mark)
    return issuer.mint_ticket(sub, TokenType.RESCUE, ticket, now=now)


class RescueLinks:
    """Verifies the links that `authgw user rescue` printed; each opens a single session."""

    def __init__(
        self,
        users: UserDirectory,
        counters: Counters,
        issuer: Issuer,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._users = users
        self._counters = counters
        self._issuer = issuer
        self._clock = clock

    def user_of(self, ticket: str) -> User:
        """Return the user of a link; this spends nothing.

        Raises:
            RescueInvalidError: the link is not valid, has expired, or its user may not log in.
        """
        return self._read(ticket)[1]

    async def spend(self, ticket: str) -> VerifiedLogin:
        """Return the login of a link, which is not valid any more afterwards.

        Raises:
            RescueInvalidError: the link is not valid or was used.
            StoreUnavailableError: an earlier use cannot be ruled out.
        """
        token, user = self._read(ticket)
        # After the signature was verified, so that strangers write nothing to the store.
        if not await self._counters.claim(f"rescue:{token.jti}", RESCUE_LIFETIME + 2 * LEEWAY):
            raise RescueInvalidError(sub=user.sub, cause="rescue_used")
        return VerifiedLogin(user, token.mark, (RESCUE,))

    def _read(self, ticket: str) -> tuple[Token, User]:
        try:
            token = self._issuer.verify(ticket, TokenType.RESCUE, now=self._clock())
        except TokenExpiredError as error:
            raise RescueInvalidError(sub=error.sub, cause="rescue_expired") from None
        except AuthgwError:
            raise RescueInvalidError(cause="rescue_malformed") from None
        user = self._users.find(token.sub)
        if user is None or user.source != USERS or token.mark not in user.password_marks:
            raise RescueInvalidError(cause="rescue_other_password")
        if user.disabled or self._users.is_blocked(USERS, "", user.sub):
            raise RescueInvalidError(sub=user.sub, cause="disabled")
        return token, user
