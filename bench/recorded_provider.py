"""An identity provider of minimal cost: `python -m bench.recorded_provider PORT`.

Its documents are prepared bytes. Its ID tokens differ in subject and nonce only; the code of a
login is the nonce, so that it keeps no state.
"""

import asyncio
import json
import sys
import time
from base64 import urlsafe_b64encode
from itertools import count
from typing import cast
from urllib.parse import parse_qs

import httptools
import jwt
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

CLIENT_ID = "bench"
_KID = "recorded"
_LIFETIME = 300  # seconds


class RecordedProvider:
    """The provider at a port of loopback, with a key of its own."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subjects = count(1)
        documents = {
            "/.well-known/openid-configuration": self._metadata(),
            "/jwks": self._key_set(),
        }
        self._recorded = {path: _response(document) for path, document in documents.items()}

    def response_to(self, path: str, body: bytes) -> bytes:
        """Return the bytes of the response: a document, or the tokens for a code."""
        recorded = self._recorded.get(path)
        if recorded is not None:
            return recorded
        nonce = parse_qs(body.decode())["code"][0]
        return _response(
            {
                "access_token": urlsafe_b64encode(nonce.encode()).decode(),
                "token_type": "Bearer",
                "expires_in": _LIFETIME,
                "id_token": self._id_token(nonce),
            }
        )

    def _id_token(self, nonce: str) -> str:
        now, subject = int(time.time()), next(self._subjects)
        claims = {
            "iss": self.issuer,
            "sub": f"account-{subject}",
            "aud": CLIENT_ID,
            "exp": now + _LIFETIME,
            "iat": now,
            "auth_time": now,
            "nonce": nonce,
            "sid": f"session-{subject}",
            "name": "Ada Example",
            "email": "ada@example.com",
            "email_verified": True,
            "groups": ["staff"],
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": _KID})

    def _metadata(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _key_set(self) -> dict[str, object]:
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": _KID, "alg": "ES256", "use": "sig"}]}


def _response(document: dict[str, object]) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class ProviderConnection(asyncio.Protocol):
    """Parses requests and writes the responses of the provider."""

    def __init__(self, provider: RecordedProvider) -> None:
        self._provider = provider

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Create the parser of this connection."""
        # uvloop's transports do not derive from asyncio.Transport but have the same methods.
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Collect the target of a request."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Collect the body of a request."""
        self._body += body

    def on_message_complete(self) -> None:
        """Write the response."""
        path = self._url.partition(b"?")[0].decode()
        self._transport.write(self._provider.response_to(path, self._body))
        self._url, self._body = b"", b""


async def _serve(port: int) -> None:
    provider = RecordedProvider(port)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ProviderConnection(provider), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
