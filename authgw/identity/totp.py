"""Second factors: time-based codes (RFC 6238) and the recovery codes that replace them."""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Sequence

import pyotp

from authgw.core.limits import MAX_CODE_AGE
from authgw.core.typed_text import typed_code
from authgw.identity.passwords import digest

_STEP = 30  # seconds, RFC 6238 section 4.1
_WINDOW = (0, -1, 1)  # steps: RFC 6238 section 5.2 allows a step for network and typing delays
_CODE = re.compile(r"[0-9]{6}")
_MIN_SECRET_LENGTH = 16  # bytes, RFC 4226 section 4 R6
_RECOVERY_CODES = 10
_RFC4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_TO_CROCKFORD = str.maketrans(_RFC4648, _CROCKFORD)
# Letters that are easily misread when a code is copied from paper, and their digits.
_MISREAD_LETTERS = str.maketrans("oil", "011")


def new_secret() -> str:
    """Return a secret for authenticator apps: 160 random bits in base32."""
    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Return True if the text is base32 of at least 128 bits (RFC 4226 section 4 R6)."""
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return False
    return len(raw) >= _MIN_SECRET_LENGTH and "=" not in text


def canonical_secret(text: str) -> str:
    """Return a typed secret in canonical form: capitals, without padding or groups."""
    return typed_code(text).upper().rstrip("=")


def provisioning_uri(secret: str, user: str, issuer: str) -> str:
    """Return the `otpauth:` URI for an authenticator app's QR code; it contains the secret."""
    return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=issuer)


def matching_step(secret: str, code: str, now: float) -> int | None:
    """Return the time step of a 6-digit code at `now` (Unix seconds), None for a wrong code.

    Spaces and dashes in the code are ignored. The steps (30 s) before and after are accepted too;
    the caller accepts each step only once (RFC 6238 section 5.2).
    """
    return _matching_step(secret, code, int(now // _STEP), _WINDOW)


def code_age(secret: str, code: str, now: float) -> int | None:
    """Return for how many seconds a 6-digit code is older than the current code, at `now`.

    It is negative for a code of the future, None for a code of no time within MAX_CODE_AGE. Such a
    code is never accepted: its age tells the operator that a clock is wrong.
    """
    current, limit = int(now // _STEP), int(MAX_CODE_AGE // _STEP)
    offsets = (*range(-limit, min(_WINDOW)), *range(max(_WINDOW) + 1, limit + 1))
    step = _matching_step(secret, code, current, offsets)
    return None if step is None else (current - step) * _STEP


def _matching_step(secret: str, code: str, current: int, offsets: Sequence[int]) -> int | None:
    typed = typed_code(code)
    if not _CODE.fullmatch(typed):
        return None
    totp = pyotp.TOTP(secret)
    steps = [current + offset for offset in offsets if current + offset >= 0]
    # Every step is compared, so that the time does not depend on the step that matches.
    matches = [hmac.compare_digest(totp.generate_otp(step), typed) for step in steps]
    return next((step for step, is_match in zip(steps, matches, strict=True) if is_match), None)


def new_recovery_codes() -> tuple[str, ...]:
    """Return ten codes of 80 random bits, such as `abcd-efgh-jkmn-pqrs`, each for a single use."""
    return tuple(_recovery_code() for _ in range(_RECOVERY_CODES))


def recovery_digest(code: str) -> str:
    """Return the SHA-256 (hexadecimal) under which a typed recovery code is stored."""
    return digest(typed_code(code).lower().translate(_MISREAD_LETTERS))


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode("ascii").translate(_TO_CROCKFORD)
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
