"""An identity provider with its connections: from a code or a refresh token to verified claims."""

from collections.abc import Callable
from dataclasses import dataclass

from authgw.core.errors import ProviderUnavailableError
from authgw.core.providers.claims import (
    claims_of_id_token,
    merge_userinfo,
    missing_claims,
    parse_userinfo,
)
from authgw.core.providers.flow import FlowSecrets
from authgw.core.providers.id_token import ProviderIdToken, verify_id_token
from authgw.core.providers.jwks import KeyUnknownError, ProviderKeys
from authgw.core.providers.metadata import ProviderMetadata
from authgw.core.providers.model import Provider, ProviderClaims
from authgw.services.providers.calls import ProviderCalls
from authgw.services.providers.documents import ProviderDocuments
from authgw.services.providers.github import GitHub
from authgw.services.providers.tokens import ProviderTokens, TokenCalls


@dataclass(frozen=True, slots=True)
class AccountAtLogin:
    """The claims of an account, and the tokens that came with them; GitHub's are thrown away."""

    claims: ProviderClaims
    tokens: ProviderTokens


class ConnectedProvider:
    """A provider, its calls and its documents; `clock` returns Unix seconds.

    Raises:
        ProviderUnavailableError: from every method, if the provider does not respond as it should.
    """

    def __init__(
        self,
        provider: Provider,
        calls: ProviderCalls,
        documents: ProviderDocuments,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.provider = provider
        self.documents = documents
        self.tokens = TokenCalls(provider, calls, clock=clock)
        self._calls = calls
        self._clock = clock
        self._github = GitHub(provider, calls) if provider.kind == "github" else None

    async def metadata(self) -> ProviderMetadata:
        """Return the metadata; GitHub's are fixed."""
        return await self.documents.metadata() if self._github is None else self._github.metadata

    async def account_of_code(
        self, code: str, secrets: FlowSecrets, *, redirect_uri: str
    ) -> AccountAtLogin:
        """Return the account that an authorization code is for.

        Raises:
            FlowInvalidError: the code or the ID token does not belong to this flow, or the token
                is not valid.
        """
        if self._github is not None:
            claims = await self._github.claims(
                code, redirect_uri=redirect_uri, verifier=secrets.verifier
            )
            return AccountAtLogin(claims, ProviderTokens(""))
        metadata = await self.metadata()
        tokens = await self.tokens.by_code(
            metadata, code, redirect_uri=redirect_uri, verifier=secrets.verifier
        )
        if not tokens.id_token:
            raise ProviderUnavailableError(
                note="the provider sent no ID token: add openid to "
                f"login.providers.{self.provider.name}.scopes"
            )
        verified = await self.verified(tokens, nonce=secrets.nonce)
        claims = claims_of_id_token(verified, self.provider)
        if missing_claims(claims, self.provider) and metadata.userinfo_endpoint:
            claims = merge_userinfo(claims, await self.userinfo(tokens.access_token), self.provider)
        return AccountAtLogin(claims, tokens)

    async def verified(self, tokens: ProviderTokens, *, nonce: str | None) -> ProviderIdToken:
        """Return the verified ID token; for an unknown key, the keys are fetched once more.

        Raises:
            FlowInvalidError: it is not valid.
        """
        keys = await self.documents.keys()
        try:
            return self._verified(tokens, nonce, keys)
        except KeyUnknownError:
            return self._verified(tokens, nonce, await self.documents.keys_after(keys))

    async def userinfo(self, access_token: str, *, renews: bool = False) -> dict[str, object]:
        """Return the claims of the userinfo endpoint; empty without such an endpoint."""
        endpoint = (await self.metadata()).userinfo_endpoint
        if not endpoint:
            return {}
        response = await self._calls.get_json(endpoint, bearer=access_token, renews=renews)
        if response.status != 200:
            raise ProviderUnavailableError(
                note=f"{endpoint} responded with status {response.status}"
            )
        return parse_userinfo(response.body)

    def _verified(
        self, tokens: ProviderTokens, nonce: str | None, keys: ProviderKeys
    ) -> ProviderIdToken:
        return verify_id_token(
            tokens.id_token,
            provider=self.provider,
            keys=keys,
            nonce=nonce,
            access_token=tokens.access_token,
            now=self._clock(),
        )
