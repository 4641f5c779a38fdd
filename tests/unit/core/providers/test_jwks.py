"""Key sets of providers: the keys that may verify tokens, and all that are left aside."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from authgw.core.errors import ProviderUnavailableError
from authgw.core.limits import MAX_PROVIDER_KEYS
from authgw.core.providers.jwks import ProviderKeys, parse_jwks
from tests.support.provider_tokens import EC, ED, JWKS, OTHER_RSA, RSA, b64, jwk, jwks

GOOD = jwk(EC, kid="good")
SHORT = generate_rsa_key(65537, 1024)


def problem(raw: bytes) -> str:
    with pytest.raises(ProviderUnavailableError) as caught:
        parse_jwks(raw)
    assert caught.value.cause == "provider_keys"
    assert caught.value.detail != caught.value.note
    return caught.value.note


def numbers(**members: int) -> dict[str, str]:
    return {
        name: b64(value.to_bytes(value.bit_length() // 8 + 1)) for name, value in members.items()
    }


def test_keys_are_found_by_kid_and_algorithm() -> None:
    keys = parse_jwks(JWKS)
    assert keys.ignored == ()
    for kid, algorithm, private in (
        ("rsa", "RS256", RSA),
        ("rsa", "PS256", RSA),
        ("ec", "ES256", EC),
        ("ed", "EdDSA", ED),
    ):
        assert keys.find(kid, algorithm) == private.public_key()
        assert keys.find(None, algorithm) == private.public_key()
    assert keys.find("ec", "RS256") is keys.find("new", "RS256") is keys.find(None, "HS256") is None
    assert (keys.has("ec"), keys.has("new")) == (True, False)
    assert "Key object" not in repr(keys)


def test_without_a_kid_several_keys_are_ambiguous() -> None:
    keys = parse_jwks(jwks(jwk(RSA, kid="a"), jwk(OTHER_RSA), jwk(EC)))
    assert keys.find(None, "RS256") is None
    assert keys.find("a", "RS256") == RSA.public_key()
    assert keys.find(None, "ES256") == EC.public_key()


def test_members_of_other_specifications_are_allowed() -> None:
    entry = jwk(RSA, kid="a", use="sig", key_ops=["verify"], x5c=["MII"], x5t="x", issuer="y")
    assert parse_jwks(jwks(entry)).ignored == ()


def test_alg_limits_a_key() -> None:
    keys = parse_jwks(jwks(jwk(RSA, kid="a", alg="PS256")))
    assert (keys.find("a", "RS256"), keys.find("a", "PS256")) == (None, RSA.public_key())


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("text", "is not an object"),
        ({}, "is not an RSA"),
        ({"kty": "oct", "alg": "HS256"}, "is not an RSA"),
        ({"kty": "oct", "k": b64(b"s" * 32), "alg": "HS256"}, "contains a secret"),
        ({"kty": ["RSA"]}, "is not an RSA"),
        ({"kty": {"RSA": 1}, "crv": ["P-256"]}, "is not an RSA"),
        (json.loads(RSAAlgorithm.to_jwk(RSA)), "contains a secret"),
        ({**jwk(EC), "d": b64(b"d" * 32)}, "contains a secret"),
        (jwk(RSA, use="enc"), "(`use`)"),
        (jwk(RSA, use=["sig"]), "(`use`)"),
        (jwk(RSA, key_ops=["encrypt"]), "(`key_ops`)"),
        (jwk(RSA, key_ops=[]), "(`key_ops`)"),
        (jwk(RSA, key_ops="verify"), "(`key_ops`)"),
        (jwk(RSA, alg="RSA-OAEP"), "another algorithm"),
        (jwk(RSA, alg="RS512"), "another algorithm"),
        (jwk(RSA, alg="HS256"), "another algorithm"),
        (jwk(RSA, alg="ES256"), "another algorithm"),
        (jwk(EC, alg=["ES256"]), "another algorithm"),
        (jwk(RSA, kid=7), "has a kid"),
        (jwk(RSA, kid=""), "has a kid"),
        (jwk(RSA, kid="x" * 256), "has a kid"),
        (jwk(SHORT), "has 1024 bits"),
        ({"kty": "RSA", **numbers(n=2**8192 + 1, e=65537)}, "has 8193 bits"),
        ({"kty": "RSA", **numbers(n=2**9000 + 1, e=65537)}, "too long"),
        ({"kty": "RSA", **numbers(n=2**2048 + 1, e=1)}, "make no key"),
        ({"kty": "RSA", "n": jwk(RSA)["n"]}, "lacks a number"),
        ({**jwk(RSA), "n": 7}, "lacks a number"),
        ({**jwk(RSA), "n": ""}, "lacks a number"),
        ({**jwk(EC), "x": jwk(EC)["y"]}, "make no key"),
        ({**jwk(EC), "x": b64(b"x")}, "make no key"),
        ({**jwk(EC), "crv": "P-384"}, "is not an RSA"),
        ({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, "is not an RSA"),
        ({**jwk(ED), "x": b64(b"x" * 31)}, "make no key"),
        ({**jwk(ED), "crv": "Ed448"}, "is not an RSA"),
        ({**jwk(ED), "crv": "X25519"}, "is not an RSA"),
    ],
)
def test_each_unusable_key_is_left_aside(entry: Any, reason: str) -> None:
    keys = parse_jwks(jwks(entry, GOOD))
    assert [key.kid for key in keys.keys] == ["good"]
    assert len(keys.ignored) == 1
    assert keys.ignored[0].startswith("key 1 ")
    assert reason in keys.ignored[0]
    assert reason in problem(jwks(entry))


def test_keys_that_share_a_kid_are_left_aside() -> None:
    twice = jwks(jwk(RSA, kid="a"), jwk(OTHER_RSA, kid="a"), GOOD)
    keys = parse_jwks(twice)
    assert ([key.kid for key in keys.keys], keys.ignored) == (
        ["good"],
        ("2 keys have the same kid",),
    )
    assert not keys.has("a")
    # A key for encryption beside the key for signatures, as some providers have it, is harmless.
    keys = parse_jwks(jwks(jwk(RSA, kid="a"), jwk(OTHER_RSA, kid="a", use="enc")))
    assert keys.find("a", "RS256") == RSA.public_key()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "JSON object"),
        (b"[]", "JSON object"),
        (b"<html>", "JSON object"),
        (b'{"keys": [], "keys": []}', "JSON object"),
        (b"{}", "list `keys`"),
        (b'{"keys": {}}', "list `keys`"),
        (b'{"keys": []}', "it is empty"),
        (jwks(*[{}] * (MAX_PROVIDER_KEYS + 1)), f"more than {MAX_PROVIDER_KEYS} keys"),
    ],
)
def test_documents_without_keys(raw: bytes, text: str) -> None:
    assert text in problem(raw)
    assert "`jwks_uri`" in problem(raw)


def test_the_limit_of_keys_includes_unusable_keys() -> None:
    keys = parse_jwks(jwks(*[{}] * (MAX_PROVIDER_KEYS - 1), GOOD))
    assert len(keys.ignored) == MAX_PROVIDER_KEYS - 1
    assert len(problem(jwks(*[{}] * MAX_PROVIDER_KEYS))) < 400


_MEMBER = st.none() | st.integers() | st.text(max_size=50) | st.lists(st.text(max_size=5))


@given(
    st.dictionaries(st.sampled_from(["kid", "use", "key_ops", "alg", "crv", "x", "y"]), _MEMBER),
    st.sampled_from([jwk(RSA), jwk(EC), jwk(ED)]),
)
def test_any_entry_is_a_key_or_left_aside(change: dict[str, Any], entry: dict[str, Any]) -> None:
    keys = parse_jwks(jwks({**entry, **change}, jwk(OTHER_RSA)))
    assert isinstance(keys, ProviderKeys)
    assert len(keys.keys) + len(keys.ignored) == 2
