"""The interface of calls to an identity provider; `server.outgoing` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class BasicCredentials(NamedTuple):
    """User name and password of HTTP Basic, as they are sent (RFC 7617)."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """A response of a provider: its status below 500, and a body of JSON or an empty body.

    `date` is the header Date as the provider sent it, empty without it.
    """

    status: int
    body: bytes = field(repr=False)
    date: str = ""


class ProviderCalls(Protocol):
    """Calls to a single identity provider.

    `renews` marks the calls of running sessions, which have a share of the parallel calls that
    logins cannot use up.

    Raises:
        ProviderUnavailableError: from every method, if no valid response arrives in time; its
            `note` states the reason for the operator and contains neither token nor secret.
    """

    async def get_json(
        self,
        url: str,
        *,
        bearer: str = "",
        headers: Mapping[str, str] | None = None,
        renews: bool = False,
    ) -> ProviderResponse:
        """Return the response to a GET; `bearer` is the access token to send."""

    async def post_form(
        self,
        url: str,
        fields: Mapping[str, str],
        *,
        basic: BasicCredentials | None = None,
        renews: bool = False,
    ) -> ProviderResponse:
        """Return the response to a POST of a form."""
