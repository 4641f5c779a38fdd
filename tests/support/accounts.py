"""Providers, accounts, and a directory of users and bindings for tests of admissions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from authgw.core.errors import ProviderRefusedError
from authgw.core.providers.admission import admit
from authgw.core.providers.model import Accept, Provider, ProviderClaims
from authgw.core.reasons import CAUSES
from authgw.core.typed_text import comparison_key
from authgw.core.users import User
from tests.support.provider_tokens import ISSUER

Account = tuple[str, str]
SUB = "248289761001"
ME, OTHER = (ISSUER, SUB), (ISSUER, "777")
EVERYONE = Accept(everyone=True)
LINKED = Accept()


def a_user(sub: str, **values: object) -> User:
    """Return a user of the users file with these values."""
    profile = {"email": f"{sub}@example.com", "name": sub.title()}
    plain = User(sub, ("staff",), profile, False, frozenset({"m1"}), False)
    return User(**{**{name: getattr(plain, name) for name in plain.__slots__}, **values})


@dataclass
class Accounts:
    """The part of a user directory that an admission reads."""

    users: Mapping[str, User] = field(default_factory=dict)
    links: Mapping[Account, str] = field(default_factory=dict)
    bindings: Mapping[str, Account] = field(default_factory=dict)
    blocked: frozenset[str] = frozenset()

    def find(self, sub: str) -> User | None:
        return self.users.get(sub)

    def resembles_user(self, sub: str) -> bool:
        return comparison_key(sub) in map(comparison_key, self.users)

    def linked(self, issuer: str, account: str) -> User | None:
        return self.users.get(self.links.get((issuer, account), ""))

    def binding(self, name: str) -> Account | None:
        by_key = {comparison_key(bound): account for bound, account in self.bindings.items()}
        return by_key.get(comparison_key(name))

    def bound_name(self, issuer: str, account: str) -> str | None:
        names = {bound: name for name, bound in self.bindings.items()}
        return names.get((issuer, account))

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        return not self.blocked.isdisjoint((f"{source}/{account}", f"name:{sub}"))


NOBODY = Accounts()


def a_provider(accept: Accept = EVERYONE, **values: Any) -> Provider:
    return replace(Provider("company", "oidc", ISSUER, "authgw", accept), **values)


def account(sub: str = SUB, issuer: str = ISSUER, **values: Any) -> ProviderClaims:
    return ProviderClaims(issuer, sub, {"sub": sub, **values})


def verified(email: str, **values: Any) -> ProviderClaims:
    return account(email=email, email_verified=True, **values)


def refusal(provider: Provider, claims: ProviderClaims, users: Accounts = NOBODY) -> str:
    with pytest.raises(ProviderRefusedError) as caught:
        admit(provider, claims, users)
    assert (caught.value.status, caught.value.note) == (403, CAUSES[caught.value.cause])
    return caught.value.cause


BY_EMAIL = a_provider(subject="email", binds_first=True)
BY_NAME = a_provider(subject="preferred_username", binds_first=True)
PLAIN = replace(BY_NAME, plain_names=True)
