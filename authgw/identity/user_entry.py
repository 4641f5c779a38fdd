"""An entry of the users file: its keys, and the keys that contradict each other."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from authgw.core.users import USERS, link_mark
from authgw.identity.user_values import (
    AccountId,
    AppPasswordName,
    Group,
    HeaderText,
    IssuerUrl,
    Mark,
    Sha256,
    bounded_groups,
    is_known_source,
    password_hash,
    path_pattern,
    totp_secret,
)

# Keys of an entry of another source: all others are values that its source states.
_FOREIGN_KEYS = {"source", "account", "epoch", "disabled", "totp"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, data: Any) -> Any:
        """Treat an optional key without a value, such as `email:`, as absent."""
        if not isinstance(data, dict):
            return data
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {k: value for k, value in data.items() if value is not None or k not in optional}


def _known_source(text: str) -> str:
    if not is_known_source(text):
        raise ValueError("is not a source that this version knows: write users or oidc:NAME")
    return text


class TotpEntry(_Part):
    """A second factor: its secret in base32, and the digests of the unused recovery codes."""

    secret: Annotated[StrictStr, AfterValidator(totp_secret), Field(repr=False)]
    recovery: Annotated[tuple[Sha256, ...], Field(repr=False)] = ()


class AppPasswordEntry(_Part):
    """An app password; without `paths` it is valid for every path, without `expires` forever."""

    name: AppPasswordName
    sha256: Annotated[Sha256, Field(repr=False)]
    paths: tuple[Annotated[StrictStr, AfterValidator(path_pattern)], ...] = ()
    expires: Annotated[AwareDatetime, Strict()] | None = None


class LinkEntry(_Part):
    """An account of an identity provider that its user may log in with."""

    issuer: IssuerUrl
    sub: AccountId


@dataclass(frozen=True, slots=True)
class UnreadKey:
    """A key of an entry that this version does not know; `line` counts from 1.

    `value` is that of the first key of its path, to notice its changes.
    """

    message: str
    value: Any = field(repr=False)
    line: int = field(compare=False)


class UserEntry(_Part):
    """An entry of the users file; `password` is an argon2id hash, never the password.

    `same_password` are the marks of hashes of the same password, this hash included. An entry of
    another `source` than the users file belongs to an account there, and has no password.
    """

    password: Annotated[StrictStr, AfterValidator(password_hash), Field(repr=False)] = ""
    groups: Annotated[tuple[Group, ...], AfterValidator(bounded_groups)] = ()
    email: HeaderText = ""
    name: HeaderText = ""
    disabled: StrictBool = False
    totp: TotpEntry | None = None
    app_passwords: tuple[AppPasswordEntry, ...] = ()
    same_password: tuple[Mark, ...] = ()
    source: Annotated[StrictStr, AfterValidator(_known_source)] = USERS
    account: AccountId | None = None
    links: tuple[LinkEntry, ...] = ()
    epoch: Annotated[StrictInt, Field(ge=0, lt=2**53)] = 0
    _unread: tuple[UnreadKey, ...] = PrivateAttr(())

    @classmethod
    def partly_read(cls, data: Mapping[str, Any], unread: tuple[UnreadKey, ...]) -> Self:
        """Return an entry of these values whose user may not log in, because of unknown keys.

        Raises:
            ValidationError: A value is not valid.
        """
        entry = cls.model_validate(data)
        entry._unread = unread
        return entry

    @property
    def unread(self) -> tuple[UnreadKey, ...]:
        """The unknown keys: another version may have written them, such as a second factor."""
        return self._unread

    @property
    def may_log_in(self) -> bool:
        """True if the entry is not disabled, and all of its keys are known."""
        return not (self.disabled or self._unread)

    @property
    def profile(self) -> dict[str, str]:
        """Claims besides the user's name and groups, by name."""
        return {"email": self.email, "name": self.name}

    @property
    def password_marks(self) -> frozenset[str]:
        """The marks of sessions that were opened with the password of this entry."""
        if not self.password:
            return frozenset()
        current = mark(self.password)
        # A hash that was set by hand is another password: the list does not contain its mark.
        return frozenset({current, *(self.same_password if current in self.same_password else ())})

    @property
    def link_marks(self) -> frozenset[str]:
        """The marks of sessions that were opened by linked accounts."""
        return frozenset(link_mark(link.issuer, link.sub, self.epoch) for link in self.links)


def mark(password_hash: str) -> str:
    """Return the 16 hexadecimal digits by which a session identifies the hash of its login."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]


def contradictions(entry: UserEntry) -> Iterator[tuple[str, str]]:
    """Yield the keys that do not fit the source of an entry, each with the reason."""
    if entry.source == USERS:
        if not entry.password:
            yield "password", "is missing: add it"
        if entry.account is not None:
            yield "account", "is for another source: remove it; an account to log in with is a link"
        return
    if entry.account is None:
        yield "account", "is missing: add the `sub` of this account at the provider"
    for key in UserEntry.model_fields:
        if key not in _FOREIGN_KEYS and key in entry.model_fields_set:
            yield key, f"does not belong to an entry of {entry.source}, which states it: remove it"
