"""Admission of an account of an identity provider: its local name, its groups, or a refusal.

An account is identified by issuer and `sub` (OpenID Connect Core 1.0 section 5.7), never by an
e-mail address or another claim that can be changed or given to somebody else.
"""

import re
from typing import Protocol

from authgw.core.errors import ProviderRefusedError
from authgw.core.limits import MAX_TEXT_BYTES
from authgw.core.providers.foreign_tokens import is_plain_text
from authgw.core.providers.groups import local_groups
from authgw.core.providers.model import Admitted, Provider, ProviderClaims
from authgw.core.typed_text import comparison_key, typed_name
from authgw.core.users import USERS, User, link_mark

# A single `@`: parsers disagree on which part of `a@b@c` is the domain. No character that separates
# addresses or quotes a part of them (RFC 5322 section 3.4).
_EMAIL = re.compile(r'[^\s@<>()\[\]\\,;:"]+@[^\s@<>()\[\]\\,;:"]+')
_GOOGLE = "https://accounts.google.com"
# Values of RFC 8176 section 2 that show a single factor, a key or a device, whoever holds it.
_POSSESSION = frozenset({"hwk", "swk", "pop", "user"})


class AccountDirectory(Protocol):
    """The part of a `UserDirectory` that an admission reads."""

    def find(self, sub: str) -> User | None:
        """Return the user with this name, or None."""

    def resembles_user(self, sub: str) -> bool:
        """Return True if an app could confuse this name with that of a user."""

    def linked(self, issuer: str, account: str) -> User | None:
        """Return the user that this account of an identity provider is linked to, or None."""

    def binding(self, name: str) -> tuple[str, str] | None:
        """Return the issuer and account that a name, or a similar name, is bound to, or None."""

    def bound_name(self, issuer: str, account: str) -> str | None:
        """Return the name that is bound to this account of an identity provider, or None."""

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        """Return True if the operator blocked this account of this source, or this subject."""


def admit(provider: Provider, claims: ProviderClaims, users: AccountDirectory) -> Admitted:
    """Return the local identity of an account, at a login and at each later check of it.

    Raises:
        ProviderRefusedError: the account may not log in; `cause` is the reason.
    """
    _refuse_blocked(provider, claims, users, "")
    user = users.linked(claims.issuer, claims.account)
    if user is not None:
        _refuse_blocked(provider, claims, users, user.sub)
        return _linked(provider, claims, user)
    bound = users.bound_name(claims.issuer, claims.account)
    sub = _subject(provider, claims, bound)
    _refuse_blocked(provider, claims, users, sub)
    _refuse_users(provider, claims, users, sub)
    binds = bound is None and provider.subject != "sub"
    if users.binding(sub) not in (None, (claims.issuer, claims.account)):
        raise _refusal("name_bound", sub)
    if binds and not provider.binds_first:
        raise _refusal("name_unbound", sub)
    groups = local_groups(claims, provider.groups)
    if not _is_accepted(provider, claims, is_bound=bound is not None):
        raise _refusal("account_not_accepted", sub)
    return Admitted(
        sub,
        provider.source,
        groups.names,
        email_of(provider, claims),
        _name(claims),
        binds=binds,
        has_factor=has_factor(provider, claims),
        dropped_groups=groups.dropped,
    )


def email_of(provider: Provider, claims: ProviderClaims) -> str:
    """Return the e-mail address that apps may receive, empty if it is not trustworthy.

    The provider must have verified it, and it must be in a domain of `accept` if that lists any,
    unless `email: trusted` is set.
    """
    email = _verified_email(provider, claims)
    domains = provider.accept.domains
    if provider.trusts_email or not domains or _domain(email) in domains:
        return email
    return ""


def has_factor(provider: Provider, claims: ProviderClaims) -> bool:
    """Return True if the provider demanded two factors, by `second_factor`."""
    methods = frozenset(claims.amr)
    by_method = not methods <= _POSSESSION and not methods.isdisjoint(provider.second_factor.amr)
    return by_method or claims.acr in provider.second_factor.acr


def _linked(provider: Provider, claims: ProviderClaims, user: User) -> Admitted:
    """Return the identity of the user that the account is linked to, with its current values."""
    if user.disabled:
        raise _refusal("disabled", user.sub)
    return Admitted(
        user.sub,
        USERS,
        user.groups,
        user.profile.get("email", ""),
        user.profile.get("name", ""),
        mark=link_mark(claims.issuer, claims.account, user.epoch),
        has_factor=has_factor(provider, claims),
    )


def _subject(provider: Provider, claims: ProviderClaims, bound: str | None) -> str:
    """Return the local name; a bound account keeps its name when its claims change."""
    prefix = f"{provider.name}:"
    if bound is not None and provider.subject != "sub":
        if bound.startswith(prefix) or (provider.plain_names and ":" not in bound):
            return bound
        raise _refusal("account_other_name", bound)
    value = _named(provider, claims)
    if not provider.plain_names:
        value = prefix + value
    elif ":" in comparison_key(value):
        raise _refusal("name_reserved")
    if len(value.encode()) > MAX_TEXT_BYTES:
        raise _refusal("name_missing")
    return value


def _named(provider: Provider, claims: ProviderClaims) -> str:
    if provider.subject == "sub":
        return claims.account
    if provider.subject == "email":
        email = _verified_email(provider, claims)
        if not email:
            raise _refusal("email_unverified")
        return email.lower()
    value = claims.values.get(provider.subject)
    if not is_plain_text(value):
        raise _refusal("name_missing")
    return typed_name(str(value))


def _refuse_blocked(
    provider: Provider, claims: ProviderClaims, users: AccountDirectory, sub: str
) -> None:
    if users.is_blocked(provider.source, claims.account, sub):
        raise _refusal("account_blocked", sub)


def _refuse_users(
    provider: Provider, claims: ProviderClaims, users: AccountDirectory, sub: str
) -> None:
    """Refuse a name that an app could confuse with that of a user, other than of this account."""
    entry = users.find(sub)
    if entry is None:
        if users.resembles_user(sub):
            raise _refusal("name_is_user", sub)
    elif (entry.source, entry.account) != (provider.source, claims.account):
        raise _refusal("name_is_user", sub)
    elif entry.disabled:
        raise _refusal("disabled", sub)


def _is_accepted(provider: Provider, claims: ProviderClaims, *, is_bound: bool) -> bool:
    accept = provider.accept
    has_conditions = bool(accept.domains or accept.groups or accept.tenant)
    # With `bind: first` an account was bound because it met the conditions, so it still must.
    if accept.everyone or (is_bound and not (provider.binds_first and has_conditions)):
        return True
    tenant = claims.values.get("tid")
    return (
        _vouched_domain(provider, claims) in accept.domains
        or not accept.groups.isdisjoint(claims.groups or ())
        or (accept.tenant != "" and tenant == accept.tenant)
    )


def _vouched_domain(provider: Provider, claims: ProviderClaims) -> str:
    """Return the e-mail domain whose owner manages this account, empty without such a domain.

    For Google it is `hd`: anybody can open an account there with an address of any domain.
    """
    if provider.issuer != _GOOGLE:
        return _domain(_verified_email(provider, claims))
    domain = claims.values.get("hd")
    return domain.lower() if isinstance(domain, str) else ""


def _verified_email(provider: Provider, claims: ProviderClaims) -> str:
    email = claims.values.get("email")
    is_verified = provider.trusts_email or claims.values.get("email_verified") is True
    if not is_verified or not is_plain_text(email) or not _EMAIL.fullmatch(str(email)):
        return ""
    return typed_name(str(email))


def _domain(email: str) -> str:
    return email.partition("@")[2].lower()


def _name(claims: ProviderClaims) -> str:
    name = claims.values.get("name")
    return str(name) if is_plain_text(name) else ""


def _refusal(cause: str, sub: str = "") -> ProviderRefusedError:
    return ProviderRefusedError(cause=cause, sub=sub)
