"""Passwords of people: which are refused, how they and random secrets are hashed.


Hash parameters: OWASP Password Storage Cheat Sheet, argon2id (m = 19456 KiB, t = 2, p = 1).
Rules for new ones: NIST SP 800-63B section 5.1.1.2.
"""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from authgw.core.errors import OperatorError

MAX_BYTES = 1024
_ENOUGH = 3  # zxcvbn's score: "safely unguessable: moderate protection from offline attack"
_ZXCVBN_TAKES = 72  # characters; it raises ValueError for more
# A hash that was cut off or pasted wrongly would only ever refuse its owner.
_HASH = re.compile(
    r"\$argon2id\$v=19\$m=[0-9]{1,7},t=[0-9]{1,2},p=[0-9]{1,2}"
    r"\$[A-Za-z0-9+/]{11,128}\$[A-Za-z0-9+/]{22,128}"
)
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


class WeakPasswordError(OperatorError):
    """A new password that must not be used; the message says why and never repeats it."""


def normalise(text: str) -> str:
    """The one spelling (NFKC) of what a person typed, whatever keyboard it came from."""
    return unicodedata.normalize("NFKC", text)


def check_new(password: str, *, min_length: int, about: Iterable[str]) -> None:
    """Accept a new password of at least `min_length` code points after normalisation.

    `about` is what others know of the person: user name, name, email.

    Raises:
        WeakPasswordError: too short, over 1,024 bytes, not typeable, or guessable.
    """
    text = normalise(password)
    if len(text) < min_length:
        raise WeakPasswordError(f"The password is too short: use at least {min_length} characters.")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise WeakPasswordError("The password holds a control character: use what can be typed.")
    if len(text.encode()) > MAX_BYTES:
        raise WeakPasswordError(f"The password is too long: use at most {MAX_BYTES} bytes.")
    _refuse_guessable(text, [word for known in about for word in _words(known)])


def hash_password(password: str) -> str:
    """The argon2id hash of a password, with the current parameters and a salt of its own."""
    return _HASHER.hash(normalise(password))


def verify(password_hash: str, password: str) -> bool:
    """Whether the password is the one of this hash; False as well if the hash is malformed.

    A hash that another program made may be of the text as it was typed, or of its composition
    (NFC, as RFC 8265 section 4.2 has it): those spellings count too.
    """
    return any(_fits(password_hash, text) for text in _spellings(password))


def _spellings(password: str) -> Iterable[str]:
    composed = unicodedata.normalize("NFC", password)
    # ASCII has one: nothing is hashed twice.
    return dict.fromkeys((normalise(password), password, composed))


def _fits(password_hash: str, text: str) -> bool:
    try:
        return _HASHER.verify(password_hash, text)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


def needs_rehash(password_hash: str) -> bool:
    """Whether a well-formed hash was made with parameters other than the current ones."""
    try:
        return _HASHER.check_needs_rehash(password_hash)
    except InvalidHashError:
        return False


def is_hash(text: str) -> bool:
    """Whether this is an argon2id hash that a password can be verified against."""
    return _HASH.fullmatch(text) is not None


def digest(secret: str) -> str:
    """The SHA-256 (hexadecimal) by which a secret of many random bits is kept.

    There is nothing to guess in it and so nothing that a slow hash could slow down.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def decoy_like(password_hash: str) -> str:
    """A hash that no password has and that takes as long to verify as the given one."""
    parameters, salt, digest = password_hash.rsplit("$", 2)
    return f"{parameters}${_noise(len(salt))}${_noise(len(digest))}"


def _noise(length: int) -> str:
    # Base64 of zero bits at its end is canonical whatever the length.
    return secrets.token_hex(length)[: length - 1] + "A"


def _words(text: str) -> Iterable[str]:
    parts = "".join(char if char.isalnum() else " " for char in text).split()
    return {text, *parts} - {""}


def _refuse_guessable(text: str, about: list[str]) -> None:
    # A gateway verifies and never sets passwords: it need not hold the word lists.
    from zxcvbn import zxcvbn

    judged = zxcvbn(text[:_ZXCVBN_TAKES], user_inputs=about)
    if judged["score"] < _ENOUGH:
        said = judged["feedback"]
        words = [said["warning"], *said["suggestions"]]
        why = " ".join(word for word in words if word)
        raise WeakPasswordError(f"The password is too easily guessed. {why}".strip())


# For whoever is not in the file: verifying it takes as long and never succeeds.
DUMMY = hash_password(secrets.token_urlsafe(32))
