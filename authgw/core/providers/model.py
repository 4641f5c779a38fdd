"""Identity providers as the operator configured them, and the accounts that they report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from authgw.core.model import PROVIDER_PREFIX

GITHUB_ISSUER = "https://github.com"
# The `state` that a provider returns after a logout there.
LOGGED_OUT_STATE = "logged-out"


@dataclass(frozen=True, slots=True)
class Accept:
    """Accounts of a provider that may log in (`accept`): the union of all that is set.

    Linked accounts, which the users file or the bindings name, may always log in. `domains` are
    e-mail domains that the provider vouches for: the claim `hd` of Google, else the domain of a
    verified e-mail address. `groups` are names as the provider sends them, `tenant` is the claim
    `tid` of Entra ID.
    """

    everyone: bool = False
    domains: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class GroupMapping:
    """Local groups for the groups of a provider.

    `by_name` maps names as the provider sends them to local groups. Any other group gets `prefix`
    before its name, or is dropped if `prefix` is empty.
    """

    claim: str = "groups"
    by_name: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class FactorClaims:
    """Values of `amr` and `acr` of which any shows that the provider demanded two factors."""

    amr: frozenset[str] = frozenset({"mfa"})
    acr: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider (`login.providers.NAME`); durations are in seconds.

    `subject` is `sub`, `email` or the name of a claim. With `plain_names` its subjects have no
    `NAME:` before them. `binds_first` binds an unbound name to the first account that has it. With
    `refresh` the account is checked again in that interval; `stale` limits the age of the last
    successful check, `session` the lifetime of a session that cannot be checked.
    `reports_auth_time` is False for a provider that sends no `auth_time`.
    """

    name: str
    kind: Literal["oidc", "github"]
    issuer: str
    client_id: str
    accept: Accept
    client_secret: str = field(default="", repr=False)
    client_key: Any = field(default=None, repr=False)
    label: str = ""
    icon: str = ""
    subject: str = "sub"
    plain_names: bool = False
    binds_first: bool = False
    groups: GroupMapping = field(default_factory=GroupMapping)
    second_factor: FactorClaims = field(default_factory=FactorClaims)
    trusts_email: bool = False
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    extra: Mapping[str, str] = field(default_factory=dict)
    refresh: float | None = None
    stale: float = 24 * 3600.0
    session: float = 12 * 3600.0
    skew: float = 60.0
    logs_out: bool = False
    sends_hint: bool = False
    reports_auth_time: bool = True

    @property
    def needs_binding(self) -> bool:
        """True if bindings name its accounts, or are the only accounts that it accepts."""
        return self.subject != "sub" or self.accept == Accept()

    @property
    def source(self) -> str:
        """The `source` of its sessions whose accounts are not linked to a user."""
        return f"{PROVIDER_PREFIX}{self.name}"


@dataclass(frozen=True, slots=True)
class ProviderClaims:
    """Claims of an account, from a verified ID token and userinfo, or from GitHub's API.

    `groups` are names as the provider sent them, None if no response contained them; `groups_from`
    is the response that did, `id_token` or `userinfo`. `needs_graph` means that the provider has
    left the groups out, because they are too many; Entra ID returns them by its API (Graph).
    `values` are all claims by name.
    """

    issuer: str
    account: str
    values: Mapping[str, Any]
    groups: tuple[str, ...] | None = None
    groups_from: str = ""
    auth_time: float | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""
    idp_sid: str = ""
    needs_graph: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """The local identity of an account that may log in.

    `source` is `users` for an account that is linked to a user, whose `mark` identifies the link;
    else that of the provider. `binds` means that `sub` has to be bound to the account before the
    session is opened. `has_factor` means that the provider demanded two factors.
    """

    sub: str
    source: str
    groups: tuple[str, ...]
    email: str
    name: str
    mark: str = ""
    binds: bool = False
    has_factor: bool = False
    dropped_groups: tuple[str, ...] = ()
