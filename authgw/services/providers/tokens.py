"""Calls to the token and the revocation endpoint of a provider (RFC 6749 section 3.2, RFC 7009)."""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from authgw.core.errors import FlowInvalidError, ProviderUnavailableError
from authgw.core.jws import signed_token
from authgw.core.limits import MAX_NOTED_ERROR_LENGTH, MAX_PROVIDER_TOKEN_BYTES
from authgw.core.providers.metadata import ProviderMetadata
from authgw.core.providers.model import Provider
from authgw.core.strict_json import read_object
from authgw.services.providers.calls import BasicCredentials, ProviderCalls, ProviderResponse

_ASSERTION_LIFETIME = 60  # seconds
_SECRET_FIELDS = (
    "code",
    "code_verifier",
    "refresh_token",
    "token",
    "client_secret",
    "client_assertion",
)
_SHORTEST_SECRET = 8  # characters; to replace shorter texts would make messages unreadable
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 section 2.2


class GrantRefusedError(FlowInvalidError):
    """Raised for `invalid_grant`: a code or a refresh token is unknown, was used or has expired."""

    cause = "provider_grant"


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """Tokens of a provider; a token that it did not send is empty."""

    access_token: str = field(repr=False)
    id_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)


class TokenCalls:
    """Calls with the credentials of the provider's client; `clock` returns Unix seconds.

    Raises:
        ProviderUnavailableError: from every method, if no valid response arrives, or the provider
            refuses the client; the note names the key to change.
    """

    def __init__(
        self, provider: Provider, calls: ProviderCalls, *, clock: Callable[[], float]
    ) -> None:
        self._provider = provider
        self._calls = calls
        self._clock = clock

    async def by_code(
        self, metadata: ProviderMetadata, code: str, *, redirect_uri: str, verifier: str
    ) -> ProviderTokens:
        """Return the tokens for an authorization code (RFC 6749 section 4.1.3, RFC 7636).

        Raises:
            GrantRefusedError: the provider does not accept the code or the verifier.
        """
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        return _tokens(await self._post(metadata, metadata.token_endpoint, fields))

    async def by_refresh_token(
        self, metadata: ProviderMetadata, refresh_token: str
    ) -> ProviderTokens:
        """Return the tokens for a refresh token (RFC 6749 section 6).

        Raises:
            GrantRefusedError: the provider does not accept the refresh token any more.
        """
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return _tokens(await self._post(metadata, metadata.token_endpoint, fields, renews=True))

    async def revoke(self, metadata: ProviderMetadata, refresh_token: str) -> None:
        """Revoke a refresh token, if the provider has an endpoint for that."""
        if metadata.revocation_endpoint:
            fields = {"token": refresh_token, "token_type_hint": "refresh_token"}
            await self._post(metadata, metadata.revocation_endpoint, fields, renews=True)

    async def _post(
        self,
        metadata: ProviderMetadata,
        url: str,
        fields: Mapping[str, str],
        *,
        renews: bool = False,
    ) -> ProviderResponse:
        added, basic = self._credentials(metadata)
        sent = {**fields, **added}
        response = await self._calls.post_form(url, sent, basic=basic, renews=renews)
        if response.status != 200:
            raise token_error(self._provider, response, sent)
        return response

    def _credentials(
        self, metadata: ProviderMetadata
    ) -> tuple[dict[str, str], BasicCredentials | None]:
        """Return the fields and the HTTP credentials that authenticate the client."""
        provider = self._provider
        if provider.client_key is not None:
            return self._assertion(metadata), None
        methods = metadata.token_auth_methods
        if "client_secret_basic" in methods:
            # RFC 6749 section 2.3.1: form-encoded before they are joined.
            name, secret = quote_plus(provider.client_id), quote_plus(provider.client_secret)
            return {}, BasicCredentials(name, secret)
        if "client_secret_post" in methods:
            sent = {"client_id": provider.client_id, "client_secret": provider.client_secret}
            return sent, None
        raise ProviderUnavailableError(
            note="the provider accepts no client secret: set "
            f"login.providers.{provider.name}.client_key_file (private_key_jwt)"
        )

    def _assertion(self, metadata: ProviderMetadata) -> dict[str, str]:
        """Return the fields of a client assertion (OpenID Connect Core section 9)."""
        client, now = self._provider.client_id, int(self._clock())
        claims: dict[str, Any] = {
            "iss": client,
            "sub": client,
            "aud": metadata.token_endpoint,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _ASSERTION_LIFETIME,
        }
        return {
            "client_id": client,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": signed_token(claims, "JWT", self._provider.client_key),
        }


def token_error(
    provider: Provider, response: ProviderResponse, sent: Mapping[str, str]
) -> GrantRefusedError | ProviderUnavailableError:
    """Return the error for an error response of a token endpoint (RFC 6749 section 5.2).

    Its note, which only the log has, names the key of the provider to change. Providers that repeat
    what was `sent` to them must not bring a code or a token into the log.
    """
    try:
        members = read_object(response.body)
    except ValueError:
        members = {}
    hidden = [provider.client_secret, *(sent.get(name, "") for name in _SECRET_FIELDS)]
    error = loggable(members.get("error"), hidden)
    what = error or f"status {response.status}"
    description = loggable(members.get("error_description"), hidden)
    shown = f"{what} ({description})" if description else what
    if error == "invalid_grant":
        return GrantRefusedError(note=f"the provider refused the grant: {shown}")
    # Keycloak refuses a wrong secret by 401 and unauthorized_client.
    remedy = remedy_of(provider.name, "invalid_client" if response.status == 401 else error)
    return ProviderUnavailableError(note=f"the provider refused the client with {shown}: {remedy}")


def remedy_of(name: str, error: str) -> str:
    """Return the remedy of an error of the provider `name`, with the key to change.

    The errors are those of RFC 6749 sections 4.1.2.1 and 5.2; GitHub and Google have some of their
    own besides.
    """
    key = f"login.providers.{name}"
    credentials = f"check {key}.client_id and {key}.client_secret_file or client_key_file"
    remedies = {
        "invalid_client": credentials,
        "incorrect_client_credentials": credentials,
        "unauthorized_client": f"permit the authorization code of the client {key}.client_id",
        "invalid_scope": f"correct {key}.scopes, or permit them to the client at the provider",
        "redirect_uri_mismatch": "register the redirect address, which follows from login.url, at "
        f"the provider: `authgw provider check {name}` prints it",
        "server_error": "its own log has the reason",
        "temporarily_unavailable": "retry later",
    }
    return remedies.get(error, f"check the client {key}.client_id at the provider")


def loggable(text: object, hidden: Collection[str] = ()) -> str:
    """Return a text of a provider for the log: shortened, in printable ASCII.

    Of the `hidden` texts, those that could be a secret are replaced.
    """
    if not isinstance(text, str):
        return ""
    for secret in hidden:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[hidden]")
    shown = text[:MAX_NOTED_ERROR_LENGTH]
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in shown)


def _tokens(response: ProviderResponse) -> ProviderTokens:
    """Return the tokens of a successful response (RFC 6749 section 5.1)."""
    try:
        members = read_object(response.body)
    except ValueError:
        raise _problem("is not a JSON object without duplicate keys") from None
    if str(members.get("token_type")).lower() != "bearer":
        raise _problem("has no `token_type` Bearer")
    return ProviderTokens(
        _token(members, "access_token"),
        _token(members, "id_token"),
        _token(members, "refresh_token"),
    )


def _token(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if value is None and name != "access_token":
        return ""
    is_text = isinstance(value, str) and value.isascii() and value.isprintable()
    if not is_text or not 0 < len(str(value)) <= MAX_PROVIDER_TOKEN_BYTES:
        raise _problem(f"has an unusable `{name}`")
    return str(value)


def _problem(what: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(note=f"the response of the token endpoint {what}")
