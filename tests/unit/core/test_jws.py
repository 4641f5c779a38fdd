"""Signatures of ES256: made again where their nonce follows from the text, verified elsewhere."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from unittest.mock import patch

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from authgw.core import jws
from authgw.core.jws import has_signature, signed_part, signed_text, signed_token
from authgw.core.keys import Key
from tests.support.builders import KEY, a_key

TYP = "at+jwt"
CLAIMS = {"sub": "1"}
TEXT = signed_token(CLAIMS, TYP, KEY)
# The order of the group of P-256 (SEC 2, section 2.4.2).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def signature(text: str) -> bytes:
    return urlsafe_b64decode(text.rpartition(".")[2] + "==")


def verifies(text: str, key: Key = KEY, typ: str = TYP) -> bool:
    return has_signature(signed_part(text), signature(text), key, typ)


def with_signature(text: str, raw: bytes) -> str:
    return f"{text.rpartition('.')[0]}.{urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def signed_with(text: str, algorithm: ECDSA, key: Key = KEY) -> str:
    """The text with a signature of this kind, which `cryptography` makes."""
    private: Any = key.signing
    assert isinstance(private, EllipticCurvePrivateKey)
    r, s = decode_dss_signature(private.sign(signed_part(text), algorithm))
    return with_signature(text, r.to_bytes(32) + s.to_bytes(32))


def by_previous_version(key: Key = KEY) -> str:
    signing: Any = key.signing
    text = jwt.encode(CLAIMS, signing, "ES256", {"kid": key.kid, "typ": TYP})
    assert list(jwt.get_unverified_header(text)) == ["alg", "kid", "typ"]
    return text


def test_the_nonce_is_that_of_rfc_6979() -> None:
    assert signed_token(CLAIMS, TYP, KEY) == TEXT
    assert signed_with(TEXT, ECDSA(SHA256(), deterministic_signing=True)) == TEXT
    assert verifies(TEXT)


def test_a_public_key_verifies_it_and_its_header_is_as_before() -> None:
    verifying: Any = KEY.verifying
    assert jwt.decode_complete(TEXT, verifying, ["ES256"])["payload"] == CLAIMS
    assert jwt.get_unverified_header(TEXT) == {"alg": "ES256", "kid": KEY.kid, "typ": TYP}


def test_tokens_of_a_previous_version_verify_with_any_nonce() -> None:
    texts = {by_previous_version() for _ in range(3)}
    assert len(texts) == 3
    assert all(verifies(text) for text in texts)
    assert verifies(TEXT, typ="of another recipient")


def test_only_the_own_signature_of_a_text_is_accepted() -> None:
    raw = signature(TEXT)
    twin = ORDER - int.from_bytes(raw[32:])
    for other in (
        with_signature(TEXT, raw[:32] + twin.to_bytes(32)),  # the same point, also valid
        signed_with(TEXT, ECDSA(SHA256())),  # valid, with a random nonce
        with_signature(TEXT, b""),
        with_signature(TEXT, raw[:-1]),
        with_signature(TEXT, raw + b"\0"),
        with_signature(TEXT, bytes(64)),
    ):
        assert not verifies(other)


@pytest.mark.parametrize("made", [TEXT, by_previous_version()], ids=["own", "previous"])
def test_a_signature_of_another_key_is_refused(made: str) -> None:
    twin = a_key(KEY.kid)
    assert not verifies(made, twin)
    assert not verifies(signed_token(CLAIMS, TYP, twin))
    assert not verifies(by_previous_version(twin))


@given(st.booleans(), st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_refused(is_own: bool, position: int, change: int) -> None:
    text = TEXT if is_own else by_previous_version()
    signed, raw = bytearray(signed_part(text)), bytearray(signature(text))
    place = position % (len(signed) + len(raw))
    if place < len(signed):
        signed[place] ^= change
    else:
        raw[place - len(signed)] ^= change
    assert not has_signature(bytes(signed), bytes(raw), KEY, TYP)


def test_a_forged_token_costs_a_single_operation() -> None:
    forged = signed_token(CLAIMS, TYP, a_key(KEY.kid))
    with patch.object(jws, "_has_es256_signature", side_effect=AssertionError):
        assert not verifies(forged)
    foreign = by_previous_version(a_key(KEY.kid))
    with patch.object(jws, "_signature", side_effect=AssertionError):
        assert not verifies(foreign)


def test_an_openssl_without_such_nonces_signs_and_verifies_as_before() -> None:
    key = a_key("old-openssl")  # headers are cached by kid
    with patch.object(jws, "_DETERMINISTIC_ES256", None):
        text = signed_text('{"sub":"1"}', TYP, key)
        assert list(jwt.get_unverified_header(text)) == ["alg", "kid", "typ"]
        assert verifies(text, key)
        assert verifies(TEXT)
