"""Time-based codes with the vectors of RFC 6238, and recovery codes."""

import re
from base64 import b32encode
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.limits import MAX_CODE_AGE
from authgw.identity.totp import (
    code_age,
    is_secret,
    matching_step,
    new_recovery_codes,
    new_secret,
    provisioning_uri,
    recovery_digest,
)

# RFC 6238 appendix B, SHA-1: a time and its 8 digits, of which apps show the last 6.
SEED = b32encode(b"12345678901234567890").decode()
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


@pytest.mark.parametrize(("now", "code"), VECTORS)
def test_rfc_6238_vectors(now: int, code: str) -> None:
    step = now // 30
    assert matching_step(SEED, code[2:], now) == step
    assert matching_step(SEED, f" {code[2:5]} {code[5:]} ", now) == step
    # The adjacent steps are accepted, and the matching step is returned.
    assert matching_step(SEED, code[2:], (step + 1) * 30) == step
    assert matching_step(SEED, code[2:], (step + 2) * 30 - 0.1) == step
    assert matching_step(SEED, code[2:], (step - 1) * 30) == step
    assert matching_step(SEED, code[2:], (step + 2) * 30) is None
    assert matching_step(SEED, code[2:], (step - 1) * 30 - 0.1) is None


@pytest.mark.parametrize(
    ("steps", "age"),
    [(1, None), (2, 60), (20, 600), (21, None), (-1, None), (-2, -60), (-21, None)],
)
def test_the_age_of_a_code_outside_of_its_time(steps: int, age: int | None) -> None:
    now, code = VECTORS[3]
    assert MAX_CODE_AGE == 600
    assert code_age(SEED, code[2:], now + 30 * steps) == age
    # A code that is accepted has no age: it is spent before this is asked.
    assert code_age(SEED, "no code", now + 30 * steps) is None


def test_no_steps_before_time_zero() -> None:
    assert matching_step(SEED, "755224", 0) == 0
    assert matching_step(SEED, "755224", 31) == 0


@pytest.mark.parametrize("code", ["", "28708", "2870822", "28708a", "٢٨٧٠٨٢", "287\n082", "\ud800"])
def test_invalid_codes(code: str) -> None:
    assert matching_step(SEED, code, 59) is None


def test_secrets_are_base32_of_at_least_128_bits() -> None:
    assert is_secret(new_secret())
    assert new_secret() != new_secret()
    assert len(new_secret()) == 32
    assert is_secret("A" * 26)
    for bad in ("A" * 24, "A" * 27, "a" * 32, "1" * 32, "é" * 32, "A" * 26 + "=" * 6, ""):
        assert not is_secret(bad)


def test_provisioning_uri() -> None:
    parts = urlsplit(provisioning_uri(SEED, "alice@x", "My gate"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parts.path == "/My%20gate:alice%40x"
    assert parse_qs(parts.query) == {"secret": [SEED], "issuer": ["My gate"]}


def test_recovery_codes() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    for code in codes:
        # Crockford's base32: without i, l, o and u; 16 letters of 5 bits.
        assert re.fullmatch(r"(?:[0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}", code)


def test_misread_letters_of_recovery_code_are_accepted() -> None:
    stored = recovery_digest("a01b-cdef-1111-0000")
    for typed in ("A01BCDEF11110000", " a01b cdef 1111 0000", "aOlb-cdef-iIlL-ooOO"):
        assert recovery_digest(typed) == stored
    assert recovery_digest("a01b-cdef-1111-0001") != stored


@given(st.text())
def test_any_text_is_accepted_as_code(typed: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", recovery_digest(typed))
    assert matching_step(SEED, typed, 59) in (None, 0, 1, 2)
