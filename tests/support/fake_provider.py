"""An identity provider without a network: prepared responses, and tokens that it signs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)

from authgw.core.errors import ProviderUnavailableError
from authgw.core.providers.model import Accept, Provider
from authgw.services.providers.calls import BasicCredentials, ProviderResponse
from tests.support.builders import NOW

ISSUER = "https://kc.example.com/realms/x"
PROVIDER = Provider(
    name="company",
    kind="oidc",
    issuer=ISSUER,
    client_id="authgw",
    accept=Accept(everyone=True),
    client_secret="top secret",
)
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "end_session_endpoint": f"{ISSUER}/logout",
    "revocation_endpoint": f"{ISSUER}/revoke",
}
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True)
class Call:
    """A call as it was made."""

    method: str
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)
    basic: BasicCredentials | None = None
    bearer: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    renews: bool = False


@dataclass
class FakeCalls:
    """Calls that are answered by `replies`: a response, an error or a function by each URL."""

    replies: dict[str, Any] = field(default_factory=dict)
    made: list[Call] = field(default_factory=list)

    async def get_json(
        self,
        url: str,
        *,
        bearer: str = "",
        headers: Mapping[str, str] | None = None,
        renews: bool = False,
    ) -> ProviderResponse:
        return await self._reply(
            Call("GET", url, bearer=bearer, headers=headers or {}, renews=renews)
        )

    async def post_form(
        self,
        url: str,
        fields: Mapping[str, str],
        *,
        basic: BasicCredentials | None = None,
        renews: bool = False,
    ) -> ProviderResponse:
        return await self._reply(Call("POST", url, fields, basic, renews=renews))

    def urls(self) -> list[str]:
        return [call.url for call in self.made]

    async def _reply(self, call: Call) -> ProviderResponse:
        self.made.append(call)
        reply = self.replies.get(call.url, ProviderUnavailableError(note=f"{call.url} is away"))
        if callable(reply):
            reply = reply(call)
            if hasattr(reply, "__await__"):
                reply = await reply
        if isinstance(reply, Exception):
            raise reply
        found: ProviderResponse = reply
        return found


def as_json(value: object, status: int = 200) -> ProviderResponse:
    return ProviderResponse(status, json.dumps(value).encode())


@dataclass
class FakeProvider:
    """A provider with a key `k1`, whose documents and tokens a test can change."""

    provider: Provider = PROVIDER
    kid: str = "k1"
    account: str = "u1"
    now: float = NOW
    calls: FakeCalls = field(default_factory=FakeCalls)
    metadata: dict[str, Any] = field(default_factory=lambda: dict(METADATA))
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    def __post_init__(self) -> None:
        issuer = self.provider.issuer
        self.calls.replies |= {
            f"{issuer}/.well-known/openid-configuration": lambda _: as_json(self.metadata),
            f"{issuer}/keys": lambda _: as_json({"keys": [self.jwk()]}),
            f"{issuer}/token": lambda _: as_json(
                {"access_token": "AT", "token_type": "Bearer", **self.tokens}
            ),
            f"{issuer}/userinfo": lambda _: as_json({"sub": self.account, **self.userinfo}),
            f"{issuer}/revoke": ProviderResponse(200, b""),
        }

    def reply(self, path: str, reply: "ProviderResponse | Exception | Callable[..., Any]") -> None:
        """Answer calls to this path of the issuer by `reply`."""
        self.calls.replies[f"{self.provider.issuer}{path}"] = reply

    def jwk(self) -> dict[str, Any]:
        found: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(
            self.key.public_key(), as_dict=True
        )
        return {**found, "kid": self.kid, "use": "sig", "alg": "ES256"}

    def rotate(self, kid: str) -> None:
        self.key, self.kid = generate_private_key(SECP256R1()), kid

    def id_token(self, nonce: str | None, **claims: Any) -> str:
        own = {"nonce": nonce} if nonce else {}
        self.account = claims.get("sub", "u1")
        return self._signed(
            {"sub": "u1", "exp": self.now + 300, **own, **self.claims, **claims}, "JWT"
        )

    def logout_token(self, **claims: Any) -> str:
        event = {"jti": "j1", "events": {_LOGOUT_EVENT: {}}, "exp": self.now + 120}
        return self._signed({**event, **claims}, "logout+jwt")

    def _signed(self, claims: dict[str, Any], typ: str) -> str:
        issued = {"iss": self.provider.issuer, "aud": self.provider.client_id, "iat": self.now}
        whole = {**issued, **claims}
        return jwt.encode(
            {name: value for name, value in whole.items() if value is not None},
            self.key,
            "ES256",
            headers={"kid": self.kid, "typ": typ},
        )
