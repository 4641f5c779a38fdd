"""The provider of the benchmarks sends tokens that verify by its own documents."""

import json
from typing import Any

import jwt

from bench.recorded_provider import CLIENT_ID, RecordedProvider


def document(response: bytes) -> Any:
    return json.loads(response.partition(b"\r\n\r\n")[2])


def test_its_tokens_verify_and_differ() -> None:
    provider = RecordedProvider(4000)
    metadata = document(provider.response_to("/.well-known/openid-configuration", b""))
    assert metadata["issuer"] == provider.issuer
    (key,) = jwt.PyJWKSet.from_dict(document(provider.response_to("/jwks", b""))).keys
    subjects = set()
    for nonce in ("first", "second"):
        tokens = document(provider.response_to("/token", f"code={nonce}".encode()))
        claims = jwt.decode(
            tokens["id_token"],
            key,
            algorithms=["ES256"],
            audience=CLIENT_ID,
            issuer=provider.issuer,
        )
        assert claims["nonce"] == nonce
        subjects.add(claims["sub"])
    assert len(subjects) == 2
