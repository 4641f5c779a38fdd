"""The parts for logins at identity providers that handlers use, and the provider of a request."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from authgw.config.provider_icons import ProviderIcon
from authgw.core.audit import Fields, account_fields
from authgw.core.login_sites import LoginSite
from authgw.core.networks import TrustedProxies
from authgw.core.sessions import Session

if TYPE_CHECKING:
    # Loaded with the first provider only.
    from authgw.services.providers.login import ProviderLogins
    from authgw.services.providers.pending import PendingProviderLogins


class AccountLinks(Protocol):
    """Links between users of the users file and accounts of identity providers.

    Raises:
        UsersFileUnwritableError: from every change, if the file cannot be written.
    """

    @property
    def is_writable(self) -> bool:
        """Return True unless this gateway cannot write the users file."""

    def issuers_of(self, sub: str) -> frozenset[str]:
        """Return the issuers of the accounts that are linked to a user."""

    async def add(self, sub: str, issuer: str, account: str) -> None:
        """Link an account.

        Raises:
            ProviderRefusedError: it is linked to another user.
        """

    async def remove(self, sub: str, issuer: str) -> bool:
        """Remove the links to accounts of an issuer; return False without such a link."""


@dataclass(frozen=True, slots=True)
class ProviderParts:
    """The parts that log users in at identity providers.

    Attributes:
        logins: The start of a login, and its end.
        pending: The logins that wait for a code of this gateway.
        seal: Returns the encoded secret of a login, encrypted for the session with this sid.
        recheck: Checks the account of a session at its provider; returns False if it has ended.
        end_session_url: Returns where a logout goes on to, empty for a logout here alone.
        report: Ends the sessions that a logout token of a provider names, and returns them.
        links: The accounts that are linked to users.
        is_self_service: Users may change their links on the account page.
        icons: The images on the buttons, by name.
        reporters: The networks from which a provider may report logouts, by name.
        is_automatic: The login page leads straight to the only provider.
        settle: Waits for calls in the background.
        away: The providers whose last call failed, with the time of that in Unix seconds.
    """

    logins: "ProviderLogins"
    pending: "PendingProviderLogins"
    seal: Callable[[str, str], str]
    recheck: Callable[[Session], Awaitable[bool]]
    end_session_url: Callable[[Session, LoginSite], Awaitable[str]]
    report: Callable[[str, str], Awaitable[tuple[Session, ...]]]
    links: AccountLinks
    settle: Callable[[], Awaitable[None]]
    is_self_service: bool = False
    icons: Mapping[str, ProviderIcon] = field(default_factory=dict)
    reporters: Mapping[str, TrustedProxies] = field(default_factory=dict)
    is_automatic: bool = False
    away: dict[str, float] = field(default_factory=dict)


def account_of(parts: ProviderParts | None, session: Session) -> Fields:
    """Return the fields of events that name the account of a session at its provider."""
    configured = parts.logins.providers.values() if parts and session.issuer else ()
    name = next((each.name for each in configured if each.issuer == session.issuer), "")
    return account_fields(name, session.account if name else "")
