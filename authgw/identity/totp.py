"""Second factors: time-based codes (RFC 6238) and the recovery codes that stand in for them."""

import base64
import binascii
import hmac
import re
import secrets

import pyotp

from authgw.core.typed_text import typed_code
from authgw.identity.passwords import digest

_STEP = 30  # seconds, RFC 6238 section 4.1
_WINDOW = (0, -1, 1)  # steps: RFC 6238 section 5.2 allows one for the network and slow fingers
_CODE = re.compile(r"[0-9]{6}")
_LEAST_SECRET = 16  # bytes, RFC 4226 section 4 R6
_RECOVERY_CODES = 10
_RFC4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_TO_CROCKFORD = str.maketrans(_RFC4648, _CROCKFORD)
# Letters that are easily misread when a code is copied from paper.
_AS_MEANT = str.maketrans("oil", "011")


def new_secret() -> str:
    """160 random bits in base32, as authenticator apps take them."""
    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Whether this is base32 of at least 128 bits (RFC 4226 section 4 R6)."""
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return False
    return len(raw) >= _LEAST_SECRET and "=" not in text


def secret_as_meant(text: str) -> str:
    """Return a secret as an app shows it: capitals, without padding or groups."""
    return typed_code(text).upper().rstrip("=")


def provisioning_uri(secret: str, user: str, issuer: str) -> str:
    """The `otpauth:` address that an authenticator app reads from a QR code. It is a secret."""
    return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=issuer)


def matching_step(secret: str, code: str, now: float) -> int | None:
    """The time step of a 6-digit code at `now` (Unix seconds), None if it is wrong.

    Spaces and dashes in the code are left aside. One step (30 s) before and after counts; the
    caller lets each step count once (RFC 6238 section 5.2).
    """
    typed = typed_code(code)
    if not _CODE.fullmatch(typed):
        return None
    current, totp = int(now // _STEP), pyotp.TOTP(secret)
    steps = [current + away for away in _WINDOW if current + away >= 0]
    # Every step is compared, so that the time taken tells nothing of which one it was.
    same = [hmac.compare_digest(totp.generate_otp(step), typed) for step in steps]
    return next((step for step, fits in zip(steps, same, strict=True) if fits), None)


def new_recovery_codes() -> tuple[str, ...]:
    """Ten codes of 80 random bits, such as `abcd-efgh-jkmn-pqrs`; each opens once."""
    return tuple(_recovery_code() for _ in range(_RECOVERY_CODES))


def recovery_digest(code: str) -> str:
    """The SHA-256 (hexadecimal) by which a recovery code is kept, however it is typed."""
    return digest(typed_code(code).lower().translate(_AS_MEANT))


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode("ascii").translate(_TO_CROCKFORD)
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
