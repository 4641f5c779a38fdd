"""Results of logins at identity providers."""

from dataclasses import dataclass, field

from authgw.core.errors import AuthgwError
from authgw.core.providers.flow import FlowTicket
from authgw.core.providers.model import Admitted, Provider, ProviderClaims
from authgw.services.providers.secrets import ProviderSecret
from authgw.services.results import LoginRequest


@dataclass(frozen=True, slots=True)
class StartedFlow:
    """A login that begins: the URL of the provider, and the cookie to set before.

    `cookie_suffix` ends the name of the cookie, whose value is `ticket`.
    """

    url: str
    ticket: str = field(repr=False)
    cookie_suffix: str


@dataclass(frozen=True, slots=True)
class FinishedLogin:
    """A verified account that may log in; its session is opened with `login` and `secret`.

    `needs_code` means that the user has a second factor here, which the provider did not replace.
    """

    provider: Provider
    flow: FlowTicket
    claims: ProviderClaims
    admitted: Admitted
    login: LoginRequest
    secret: ProviderSecret
    needs_code: bool


@dataclass(frozen=True, slots=True)
class FinishedLink:
    """A verified account that may be linked to the user who asked for that (`flow.sid`)."""

    provider: Provider
    flow: FlowTicket
    claims: ProviderClaims


@dataclass(frozen=True, slots=True)
class RefusedLogin:
    """A login that failed, and its ticket if the browser has a correctly signed one.

    With a ticket, a page can offer to start again for the same return target.
    """

    error: AuthgwError
    flow: FlowTicket | None = None
