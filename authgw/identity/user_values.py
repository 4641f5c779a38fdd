"""Values of the users file and of the bindings: names, groups, hashes, accounts at a provider."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StrictStr

from authgw.core.limits import MAX_GROUPS_BYTES, MAX_NAME_LENGTH, MAX_TEXT_BYTES
from authgw.core.model import PROVIDER_PREFIX
from authgw.core.rules import RuleError, glob
from authgw.core.users import (
    GROUP_CHARACTERS,
    GROUP_NAME,
    USERS,
    is_header_safe,
)
from authgw.identity.passwords import is_hash
from authgw.identity.totp import canonical_secret, is_secret

_APP_PASSWORD_NAME = re.compile(rf"[A-Za-z0-9._@-]{{1,{MAX_NAME_LENGTH}}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MARK = re.compile(r"[0-9a-f]{16}")
_PROVIDER_NAME = re.compile(r"[a-z0-9-]+")
_ISSUER = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(/[^?#\x00-\x20\x7f-\U0010ffff]*)?")


def header_safe(text: str) -> str:
    """Return text that is safe in an identity header; raise ValueError with the reason if not."""
    if not is_header_safe(text):
        raise ValueError("contains a control character: remove it")
    if len(text.encode()) > MAX_TEXT_BYTES or text != text.strip():
        raise ValueError(
            f"is too long, or begins or ends with a space: write at most {MAX_TEXT_BYTES} bytes"
        )
    return text


def bounded_groups(groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return groups that fit into a header; raise ValueError if not."""
    if sum(len(name) + 1 for name in groups) > MAX_GROUPS_BYTES:
        raise ValueError(f"have more than {MAX_GROUPS_BYTES} bytes together: remove some")
    return groups


def path_pattern(text: str) -> str:
    """Return a path pattern as in rules; raise ValueError if it is not valid."""
    try:
        glob(text)
    except RuleError:
        raise ValueError(
            "is not a path pattern as in rules: write it decoded, such as /dav/**"
        ) from None
    return text


def password_hash(text: str) -> str:
    """Return an argon2id hash; raise ValueError if it is not a hash."""
    if not is_hash(text):
        raise ValueError("is not an argon2id hash: remove the entry and run `authgw user add`")
    return text


def totp_secret(text: str) -> str:
    """Return the canonical form of a base32 secret; raise ValueError if it is not valid."""
    secret = canonical_secret(text)
    if not is_secret(secret):
        raise ValueError(
            "is not base32 of at least 128 bits: remove totp and run `authgw user totp`"
        )
    return secret


def _matching(pattern: re.Pattern[str], message: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


Group = Annotated[
    StrictStr, _matching(GROUP_NAME, f"is not a valid name of a group: {GROUP_CHARACTERS}")
]
AppPasswordName = Annotated[
    StrictStr,
    _matching(_APP_PASSWORD_NAME, "is not a valid name: write 1 to 64 of A-Z a-z 0-9 . _ @ -"),
]
Sha256 = Annotated[StrictStr, _matching(_SHA256, "is not a SHA-256: write 64 digits of 0-9 a-f")]
Mark = Annotated[
    StrictStr,
    _matching(_MARK, "is not the mark of a hash: write 16 digits of 0-9 a-f, or remove the key"),
]
HeaderText = Annotated[StrictStr, AfterValidator(header_safe)]


def _issuer(text: str) -> str:
    # RFC 3986 appendix A. The text is compared with that of the configuration, never opened.
    if not _ISSUER.fullmatch(text) or len(text) > MAX_TEXT_BYTES:
        raise ValueError(
            "is not the URL of an issuer: write it as in login.providers, such as "
            "https://id.example.com"
        )
    return text


def _account(text: str) -> str:
    if not text:
        raise ValueError("is empty: write the `sub` of the account at the provider")
    return header_safe(text)


IssuerUrl = Annotated[StrictStr, AfterValidator(_issuer)]
AccountId = Annotated[StrictStr, AfterValidator(_account)]


def is_known_source(source: object) -> bool:
    """Return True for `users` and for the source of an identity provider, `oidc:NAME`."""
    return source == USERS or bool(provider_of(source))


def provider_of(source: object) -> str:
    """Return the name of the provider of a source, empty for any other source."""
    if not isinstance(source, str) or not source.startswith(PROVIDER_PREFIX):
        return ""
    name = source.removeprefix(PROVIDER_PREFIX)
    return name if _PROVIDER_NAME.fullmatch(name) else ""


def check_subject(name: str) -> None:
    """Check the name or account of a subject: 1 to 255 bytes, no control character, composed (NFC).

    Raises:
        ValueError: It is not valid; the message has the reason.
    """
    if not name:
        raise ValueError("is empty: write a name")
    header_safe(name)
    if unicodedata.normalize("NFC", name) != name:
        raise ValueError("contains combining characters: write it composed (NFC)")


def check_name(name: str, source: str = USERS) -> None:
    """Check a user name: 1 to 255 bytes, no control character, composed (NFC).

    A user of the users file has no `:` in its name, another source has it after its own name only.

    Raises:
        ValueError: The name is not valid; the message has the reason.
    """
    check_subject(name)
    prefix, colon, rest = name.partition(":")
    if colon and source == USERS:
        raise ValueError("contains `:`, which ends a user name in HTTP Basic (RFC 7617): remove it")
    if colon and is_known_source(source) and not (prefix == provider_of(source) and rest):
        raise ValueError("has another prefix than its source: write the name of the provider")
