"""Password policy, password hashes, and digests of random secrets.

Hash parameters: OWASP Password Storage Cheat Sheet, argon2id (m = 19456 KiB, t = 2, p = 1).
Policy for new passwords: NIST SP 800-63B section 5.1.1.2.
"""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from authgw.core.errors import OperatorError
from authgw.core.limits import MAX_PASSWORD_BYTES

_MIN_SCORE = 3  # zxcvbn's score: "safely unguessable: moderate protection from offline attack"
_MAX_SCORED_LENGTH = 72  # characters; zxcvbn raises ValueError for more
# A truncated or damaged hash would refuse every password of its user.
_HASH = re.compile(
    r"\$argon2id\$v=19\$m=[0-9]{1,7},t=[0-9]{1,2},p=[0-9]{1,2}"
    r"\$[A-Za-z0-9+/]{11,128}\$[A-Za-z0-9+/]{22,128}"
)
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


class WeakPasswordError(OperatorError):
    """Raised for a new password that must not be used; the message never contains the password."""


def normalise(text: str) -> str:
    """Return the typed text in NFKC, so that it is the same from every keyboard."""
    return unicodedata.normalize("NFKC", text)


def check_new(password: str, *, min_length: int, about: Iterable[str]) -> None:
    """Check a new password against the policy.

    Args:
        password: The new password.
        min_length: Its minimum length in code points after normalisation.
        about: Public information about the user: user name, name, email.

    Raises:
        WeakPasswordError: The password is too short, longer than 1,024 bytes, contains a control
            character, or is guessable.
    """
    text = normalise(password)
    if len(text) < min_length:
        raise WeakPasswordError(f"The password is too short: use at least {min_length} characters.")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise WeakPasswordError(
            "The password contains a control character: use characters that can be typed."
        )
    if len(text.encode()) > MAX_PASSWORD_BYTES:
        raise WeakPasswordError(
            f"The password is too long: use at most {MAX_PASSWORD_BYTES} bytes."
        )
    _refuse_guessable(text, [word for information in about for word in _words(information)])


def hash_password(password: str) -> str:
    """Return an argon2id hash of a password with the current parameters and a random salt."""
    return _HASHER.hash(normalise(password))


def verify(password_hash: str, password: str) -> bool:
    """Return True if the password matches this hash; False also for a malformed hash.

    A hash from another program may be of the text as typed, or of its composition (NFC, RFC 8265
    section 4.2), so these spellings are compared too.
    """
    return any(_matches(password_hash, text) for text in _spellings(password))


def _spellings(password: str) -> Iterable[str]:
    composed = unicodedata.normalize("NFC", password)
    # The spellings of ASCII text are equal: no text is hashed more than once.
    return dict.fromkeys((normalise(password), password, composed))


def _matches(password_hash: str, text: str) -> bool:
    try:
        return _HASHER.verify(password_hash, text)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


def needs_rehash(password_hash: str) -> bool:
    """Return True for a well-formed hash whose parameters differ from the current parameters."""
    try:
        return _HASHER.check_needs_rehash(password_hash)
    except InvalidHashError:
        return False


def is_hash(text: str) -> bool:
    """Return True if the text is an argon2id hash against which passwords can be verified."""
    return _HASH.fullmatch(text) is not None


def digest(secret: str) -> str:
    """Return the SHA-256 (hexadecimal) of a random secret, in which form it is stored.

    A secret of many random bits cannot be guessed, so a slow password hash would add nothing.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def decoy_like(password_hash: str) -> str:
    """Return a hash that matches no password and takes as long to verify as `password_hash`."""
    parameters, salt, digest = password_hash.rsplit("$", 2)
    return f"{parameters}${_random_base64(len(salt))}${_random_base64(len(digest))}"


def _random_base64(length: int) -> str:
    # The last character `A` has only zero bits, so the Base64 is canonical for every length.
    return secrets.token_hex(length)[: length - 1] + "A"


def _words(text: str) -> Iterable[str]:
    parts = "".join(char if char.isalnum() else " " for char in text).split()
    return {text, *parts} - {""}


def _refuse_guessable(text: str, about: list[str]) -> None:
    # The gateway verifies passwords and never sets them: it need not load the word lists.
    from zxcvbn import zxcvbn

    result = zxcvbn(text[:_MAX_SCORED_LENGTH], user_inputs=about)
    if result["score"] < _MIN_SCORE:
        feedback = result["feedback"]
        words = [feedback["warning"], *feedback["suggestions"]]
        why = " ".join(word for word in words if word)
        raise WeakPasswordError(f"The password is too easily guessed. {why}".strip())


# For names without an entry: verification takes as long as for a real hash and never succeeds.
DUMMY_HASH = hash_password(secrets.token_urlsafe(32))
