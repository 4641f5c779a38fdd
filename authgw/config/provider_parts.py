"""The sections of a provider in `login.providers`: accounts, groups, factors and logouts."""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field

from authgw.config.section import Conflict, Section
from authgw.config.values import Boolean, CookieDomain, Text
from authgw.core.users import GROUP_CHARACTERS, GROUP_NAME

ACCEPT_FORMS = "linked, everyone, {domains: [...]}, {groups: [...]} or {tenant: ID}"
LOGOUT_FORMS = "local, idp or {hint: true}"
_PREFIX = re.compile(r"[A-Za-z0-9._:@/-]{0,31}[._:@/-]", re.ASCII)


def _local_group(text: str) -> str:
    if not GROUP_NAME.fullmatch(text):
        raise ValueError(f"is not a valid name of a group: {GROUP_CHARACTERS}")
    return text


def _group_prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError(
            "is not a prefix that keeps groups of the provider apart from local groups: end it "
            "with one of . _ : @ / - such as kc:"
        )
    return text


def word_or_section(words: Any, section: type[Section], forms: str) -> Callable[[Any], Any]:
    """Return a parser of a value that is either one of the words, or a section.

    A union of pydantic would report the problems of both forms. `forms` describes all forms.
    """

    def parse(value: Any) -> Any:
        if isinstance(value, dict):
            return section.model_validate(value)
        if value not in get_args(words):
            raise ValueError(f"is not a valid value: write {forms}")
        return str(value)

    return parse


class AcceptSettings(Section):
    """Accounts that may log in, apart from the linked ones, which always may."""

    domains: Annotated[tuple[CookieDomain, ...], Field(examples=[("example.com",)])] = ()
    """Domains of accounts: the claim `hd` of Google, else that of a verified e-mail address."""
    groups: Annotated[tuple[Text, ...], Field(examples=[("staff",)])] = ()
    """Groups as the provider sends them, before `groups.map` and `groups.prefix`."""
    tenant: Annotated[Text | None, Field(examples=["11111111-2222-3333-4444-555555555555"])] = None
    """Directory (tenant) ID of Entra ID, the claim `tid`."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a section that accepts nobody."""
        is_known = self.model_fields_set <= {*AcceptSettings.model_fields}
        if is_known and not (self.domains or self.groups or self.tenant):
            message = f"accepts no account: write {ACCEPT_FORMS}"
            yield Conflict((), message, AcceptSettings.model_fields)


class GroupSettings(Section):
    """Local groups for the groups of the provider."""

    claim: Annotated[Text, Field(examples=["roles"])] = "groups"
    """Claim with the groups, in the ID token or in the response of userinfo."""
    map: Annotated[
        dict[str, Annotated[str, AfterValidator(_local_group)]],
        Field(examples=[{"kc-admins": "admins"}]),
    ] = Field(default={})
    """Local group for each group of the provider.

    Without `prefix`, groups that are not here are dropped.
    """
    prefix: Annotated[
        Annotated[str, AfterValidator(_group_prefix)] | None, Field(examples=["kc:"])
    ] = None
    """Text before the names of the groups that `map` does not contain.

    Without `prefix` and `map` it is the name of the provider with a colon.
    """


class FactorSettings(Section):
    """Claims of the ID token that prove a second factor at the provider."""

    amr: Annotated[tuple[Text, ...], Field(examples=[("mfa", "otp")])] = ("mfa",)
    """Values of `amr` (RFC 8176) of which any is sufficient."""
    acr: Annotated[tuple[Text, ...], Field(examples=[("phr",)])] = ()
    """Values of `acr` of which any is sufficient."""


class LogoutSettings(Section):
    """A logout at the provider, too."""

    hint: Annotated[Boolean, Field(examples=[True])] = False
    """Send the ID token along, which some providers demand.

    Its claims then stand in the browser's history and in the provider's logs.
    """
