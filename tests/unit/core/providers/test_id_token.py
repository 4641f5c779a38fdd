"""ID tokens: valid tokens, and each single change for which a token is refused."""

import base64
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.errors import FlowInvalidError
from authgw.core.limits import MAX_PROVIDER_TOKEN_BYTES
from authgw.core.providers.id_token import ProviderIdToken, verify_id_token
from authgw.core.providers.jwks import KeyUnknownError, parse_jwks
from authgw.core.reasons import CAUSES
from tests.support.builders import NOW
from tests.support.provider_tokens import (
    EC,
    ED,
    EVENT,
    ID_CLAIMS,
    KEYS,
    OTHER_RSA,
    PROVIDER,
    RSA,
    b64,
    changed,
    jwk,
    jwks,
    signed,
    signed_bytes,
)

NONCE = ID_CLAIMS["nonce"]
ACCESS = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
PUBLIC_PEM = base64.b64encode(b"not a secret but a public key, which HS256 must not take").decode()


def verified(text: str, **options: Any) -> ProviderIdToken:
    values = {"provider": PROVIDER, "keys": KEYS, "nonce": NONCE, "access_token": ACCESS}
    return verify_id_token(text, **{**values, "now": NOW, **options})


def cause(text: str, **options: Any) -> str:
    with pytest.raises(FlowInvalidError) as caught:
        verified(text, **options)
    assert caught.value.status == 400
    assert caught.value.note
    assert len(text) < 9 or text not in str(caught.value) + caught.value.note
    return caught.value.cause


def claims(**changes: Any) -> dict[str, Any]:
    return changed(ID_CLAIMS, **changes)


def at_hash(algorithm: str, name: str = "") -> str:
    digest = hashlib.new(name or ("sha512" if algorithm == "EdDSA" else "sha256"), ACCESS.encode())
    return b64(digest.digest()[: digest.digest_size // 2])


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_each_algorithm_verifies_by_its_key(algorithm: str) -> None:
    token = verified(signed(claims(at_hash=at_hash(algorithm)), algorithm))
    assert (token.account, token.issued_at) == (ID_CLAIMS["sub"], NOW)
    assert (token.auth_time, token.amr, token.acr, token.idp_sid) == (None, (), "", "")
    assert token.claims == claims(at_hash=at_hash(algorithm))


def test_optional_claims() -> None:
    more = {"auth_time": NOW - 9, "amr": ["pwd", "mfa"], "acr": "2", "sid": "s1"}
    token = verified(signed(claims(**more)))
    assert (token.auth_time, token.amr, token.acr, token.idp_sid) == (
        NOW - 9,
        ("pwd", "mfa"),
        "2",
        "s1",
    )


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "jwt", "x5t": "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg"},
        {"typ": "id_token", "vendor": {"any": ["value"]}},
    ],
)
def test_other_header_members_are_allowed(header: dict[str, Any]) -> None:
    assert verified(signed(claims(), **header)).account == ID_CLAIMS["sub"]


@pytest.mark.parametrize(
    "more",
    [
        {"aud": ["authgw"]},
        {"aud": ["authgw"], "azp": "authgw"},
        {"aud": ["other", "authgw"], "azp": "authgw"},
        {"exp": NOW - 59.9},
        {"iat": NOW + 60, "nbf": NOW + 60},
        {"iat": NOW - 86400},
        {"auth_time": NOW + 60},
        {"auth_time": 0},
        {"amr": [], "acr": None, "sid": None, "at_hash": None},
        {"sub": "x" * 255},
        {"groups": ["a"] * 1000},
    ],
)
def test_unusual_claims_are_allowed(more: dict[str, Any]) -> None:
    verified(signed(claims(**more)))


# T63: each entry changes one thing of a valid token.
FORGED_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"iss": "https://id.example.com/realms/y"}, "provider_issuer"),
    ({"iss": "https://id.example.com/realms/x/"}, "provider_issuer"),
    ({"iss": "https://ID.example.com/realms/x"}, "provider_issuer"),
    ({"iss": ["https://id.example.com/realms/x"]}, "provider_issuer"),
    ({"iss": ...}, "provider_issuer"),
    ({"aud": "other"}, "provider_audience"),
    ({"aud": "authgw2"}, "provider_audience"),
    ({"aud": []}, "provider_audience"),
    ({"aud": ["other"]}, "provider_audience"),
    ({"aud": {"authgw": 1}}, "provider_audience"),
    ({"aud": ["authgw", 1], "azp": "authgw"}, "provider_audience"),
    ({"aud": ...}, "provider_audience"),
    ({"aud": ["authgw", "other"]}, "provider_audience"),
    ({"aud": ["authgw", "other"], "azp": "other"}, "provider_audience"),
    ({"azp": "other"}, "provider_audience"),
    ({"azp": None}, "provider_audience"),
    ({"azp": ["authgw"]}, "provider_audience"),
    ({"exp": NOW - 60}, "provider_expired"),
    ({"exp": ...}, "provider_claims"),
    ({"exp": None}, "provider_claims"),
    ({"exp": str(NOW + 300)}, "provider_claims"),
    ({"exp": True}, "provider_claims"),
    ({"exp": 10**400}, "provider_claims"),
    ({"exp": 1e300}, "provider_claims"),
    ({"iat": ...}, "provider_claims"),
    ({"iat": "now"}, "provider_claims"),
    ({"iat": NOW + 60.1}, "provider_not_yet_valid"),
    ({"nbf": NOW + 60.1}, "provider_not_yet_valid"),
    ({"nbf": [NOW]}, "provider_claims"),
    ({"auth_time": NOW + 60.1}, "provider_not_yet_valid"),
    ({"auth_time": "yesterday"}, "provider_claims"),
    ({"auth_time": False}, "provider_claims"),
    ({"nonce": ...}, "provider_nonce"),
    ({"nonce": "n-0S6_WzA2Mk"}, "provider_nonce"),
    ({"nonce": ""}, "provider_nonce"),
    ({"nonce": [NONCE]}, "provider_nonce"),
    ({"nonce": "é"}, "provider_nonce"),
    ({"at_hash": at_hash("RS256")[:-1]}, "provider_at_hash"),
    ({"at_hash": at_hash("RS256", "sha512")}, "provider_at_hash"),
    ({"at_hash": 1}, "provider_at_hash"),
    ({"at_hash": ""}, "provider_at_hash"),
    ({"sub": ...}, "provider_claims"),
    ({"sub": None}, "provider_claims"),
    ({"sub": 248289761001}, "provider_claims"),
    ({"sub": ""}, "provider_claims"),
    ({"sub": "x" * 256}, "provider_claims"),
    ({"sub": "é" * 128}, "provider_claims"),
    ({"sub": "a\nRemote-Groups: admins"}, "provider_claims"),
    ({"sub": "a\u2028"}, "provider_claims"),
    ({"sub": " a"}, "provider_claims"),
    ({"amr": "mfa"}, "provider_claims"),
    ({"amr": ["pwd", 1]}, "provider_claims"),
    ({"amr": ["pwd"] * 33}, "provider_claims"),
    ({"acr": 2}, "provider_claims"),
    ({"sid": ["s1"]}, "provider_claims"),
    ({"events": {EVENT: {}}}, "provider_type"),
]


@pytest.mark.parametrize(("change", "expected"), FORGED_CLAIMS)
def test_each_forged_claim_is_refused(change: dict[str, Any], expected: str) -> None:
    assert cause(signed(claims(**change))) == expected
    assert expected in CAUSES


FORGED_HEADERS: list[tuple[dict[str, Any], str]] = [
    ({"crit": ["exp"]}, "provider_token"),
    ({"crit": []}, "provider_token"),
    ({"b64": False}, "provider_token"),
    ({"jwk": jwk(RSA)}, "provider_token"),
    ({"jku": "https://evil.example/jwks"}, "provider_token"),
    ({"x5u": "https://evil.example/cert"}, "provider_token"),
    ({"x5c": ["MIIB"]}, "provider_token"),
    ({"typ": "logout+jwt"}, "provider_type"),
    ({"typ": "at+jwt"}, "provider_type"),
    ({"typ": "application/AT+JWT"}, "provider_type"),
    ({"kid": "other"}, "provider_key_unknown"),
    ({"kid": ""}, "provider_key_unknown"),
    ({"kid": "../../dev/null"}, "provider_key_unknown"),
    ({"kid": "ec"}, "provider_alg"),
]


@pytest.mark.parametrize(("change", "expected"), FORGED_HEADERS)
def test_each_forged_header_is_refused(change: dict[str, Any], expected: str) -> None:
    assert cause(signed(claims(), **change)) == expected


def test_a_valid_signature_by_another_key_is_refused() -> None:
    assert cause(signed(claims(), key=OTHER_RSA)) == "provider_signature"
    # An attacker's key in the header, with the kid of the provider's key.
    forged = signed(claims(), key=OTHER_RSA, jwk=jwk(OTHER_RSA, kid="rsa"))
    assert cause(forged) == "provider_token"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "none", "RS512", "ES384", ""])
def test_no_other_algorithm_verifies(algorithm: str) -> None:
    head, body = b64({"alg": algorithm, "kid": "rsa"}), b64(claims())
    for signature in ("", b64(b"x" * 32)):
        assert cause(f"{head}.{body}.{signature}") == "provider_alg"


def test_a_public_key_is_not_an_hmac_secret() -> None:
    # The confusion of CVE-2022-29217: a published key, taken as the secret of an HMAC.
    forged = signed(claims(), "HS256", key=PUBLIC_PEM.encode(), kid="rsa")
    assert cause(forged) == "provider_alg"
    # Even with a configuration that lists it, a public key has no such algorithm.
    careless = replace(PROVIDER, algorithms=("HS256", "RS256"))
    assert cause(forged, provider=careless) == "provider_alg"
    assert cause(signed(claims(), "HS256", key=b"s" * 32), provider=careless) == (
        "provider_key_unknown"
    )


def test_an_algorithm_that_is_not_configured_is_refused() -> None:
    only = replace(PROVIDER, algorithms=("ES256",))
    assert cause(signed(claims()), provider=only) == "provider_alg"
    verified(signed(claims(), "ES256"), provider=only)


def test_the_algorithm_of_a_key_is_fixed_by_its_alg() -> None:
    keys = parse_jwks(jwks(jwk(RSA, kid="rsa", alg="RS256")))
    verified(signed(claims()), keys=keys)
    assert cause(signed(claims(), "PS256"), keys=keys) == "provider_alg"


def test_a_signature_for_another_algorithm_of_the_key_is_refused() -> None:
    head, body, _ = signed(claims(), "PS256").split(".")
    signature = signed(claims(), "RS256").split(".")[2]
    assert cause(f"{head}.{body}.{signature}") == "provider_signature"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("signature", [b"", b"\0", bytes(63), bytes(64), bytes(256), b"x" * 1000])
def test_signatures_of_any_length_are_refused(algorithm: str, signature: bytes) -> None:
    head, body, _ = signed(claims(), algorithm).split(".")
    assert cause(f"{head}.{body}.{b64(signature)}") == "provider_signature"


def test_without_a_kid_a_single_key_verifies() -> None:
    verified(signed(claims(), kid=None))
    verified(signed(claims(), kid=7))
    two = parse_jwks(jwks(jwk(RSA, kid="rsa"), jwk(OTHER_RSA, kid="other"), jwk(EC)))
    verified(signed(claims(), "ES256", kid=None), keys=two)
    assert cause(signed(claims(), kid=None), keys=two) == "provider_key_unknown"


def test_an_unknown_key_is_an_error_of_its_own() -> None:
    for text in (signed(claims(), kid="new"), signed(claims(), key=OTHER_RSA, kid=None)):
        with pytest.raises(KeyUnknownError):
            verified(text)
    with pytest.raises(FlowInvalidError) as caught:
        verified(signed(claims(), key=OTHER_RSA))
    assert not isinstance(caught.value, KeyUnknownError)


def test_malformed_texts() -> None:
    head, body, signature = signed(claims()).split(".")
    twice = b64(b'{"iss":"https://evil.example","iss":"' + PROVIDER.issuer.encode() + b'"}')
    for text in (
        "",
        "..",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.x",
        f"{head}.{body}.{signature}=",
        f"{head}.{body}.{signature}\n",
        f" {head}.{body}.{signature}",
        f"{head}=.{body}.{signature}",
        f"{b64([])}.{body}.{signature}",
        f"{head}.{b64(b'{')}.{signature}",
        f"é{head}.{body}.{signature}",
        signed_bytes(head, twice),
        signed_bytes(b64(b'{"alg":"RS256","kid":"x","kid":"rsa"}'), body),
        signed(claims(filler="x" * MAX_PROVIDER_TOKEN_BYTES)),
    ):
        assert cause(text) == "provider_token"


def test_a_token_over_4_kib_is_read_up_to_its_own_limit() -> None:
    verified(signed(claims(groups=[f"group-{number:03}" for number in range(200)] * 4)))


def test_nonce_and_access_token_are_compared_only_if_they_are_demanded() -> None:
    refreshed = claims(nonce=..., at_hash="anything")
    verified(signed(refreshed), nonce=None, access_token=None)
    verified(signed(claims()), nonce=None)
    assert cause(signed(refreshed), nonce=None) == "provider_at_hash"


@given(position=st.integers(0, 10**6), letter=st.sampled_from("AZaz09-_.=é"))
def test_no_changed_character_is_accepted(position: int, letter: str) -> None:
    text = signed(claims(), "EdDSA")
    place = position % len(text)
    other = text[:place] + letter + text[place + 1 :]
    if other != text:
        with pytest.raises(FlowInvalidError):
            verified(other)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted({*ID_CLAIMS, "azp", "amr", "sid", "nbf"})), _JSON))
def test_any_signed_claims_are_accepted_or_refused(change: dict[str, Any]) -> None:
    text = signed_bytes(
        b64({"alg": "EdDSA", "kid": "ed"}), b64(json.dumps(claims() | change).encode()), ED
    )
    with suppress(FlowInvalidError):
        assert verified(text).claims["iss"] == PROVIDER.issuer
