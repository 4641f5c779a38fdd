"""Logins at a provider without a network, on stores in memory."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from authgw.core.budget import AddressBudget
from authgw.core.errors import ProviderRefusedError
from authgw.core.limits import PER_CALLBACK
from authgw.core.login_sites import LoginSite
from authgw.core.providers.model import Provider
from authgw.core.redirects import Redirects
from authgw.core.users import User, link_mark
from authgw.services.providers.connected import ConnectedProvider
from authgw.services.providers.documents import ProviderDocuments
from authgw.services.providers.login import ProviderLogins
from authgw.services.providers.results import (
    FinishedLink,
    FinishedLogin,
    RefusedLogin,
    StartedFlow,
)
from tests.support.builders import NOW, an_issuer
from tests.support.directories import Directory
from tests.support.fake_provider import ISSUER, PROVIDER, FakeProvider
from tests.support.memory_counters import MemoryCounters

REDIRECTS = Redirects((), "", "")
SITE = LoginSite("https://auth.example.com/login", "example.com", REDIRECTS)
OTHER_SITE = LoginSite("https://auth.example.net/login", "example.net", REDIRECTS)
ADDRESS = "192.0.2.7"
Pairs = list[tuple[str, str]]


class SceneAccounts(Directory):
    """A directory with linked accounts, and with names that are bound to accounts."""

    def __init__(self, *users: User, blocked: frozenset[tuple[str, str] | str] = frozenset()):
        super().__init__(*users, blocked=blocked)
        self.links: dict[tuple[str, str], str] = {}
        self.names: dict[str, tuple[str, str]] = {}

    def linked(self, issuer: str, account: str) -> User | None:
        return self.users.get(self.links.get((issuer, account), ""))

    def bound_name(self, issuer: str, account: str) -> str | None:
        owners = {owner: name for name, owner in self.names.items()}
        return owners.get((issuer, account))

    def binding(self, name: str) -> tuple[str, str] | None:
        return self.names.get(name)

    async def bind(self, name: str, issuer: str, account: str) -> None:
        if self.names.setdefault(name, (issuer, account)) != (issuer, account):
            raise ProviderRefusedError(cause="name_bound")


def a_user(sub: str = "alice", *, has_totp: bool = False, account: str = "u1") -> User:
    """Return a user to whom this account of the provider is linked."""
    marks = frozenset({link_mark(ISSUER, account, 0)})
    profile = {"email": f"{sub}@example.com", "name": sub.title()}
    return User(sub, ("staff",), profile, False, frozenset(), has_totp, link_marks=marks)


@dataclass
class ProviderScene:
    """A provider and this gateway's logins there."""

    provider: FakeProvider = field(default_factory=FakeProvider)
    users: SceneAccounts = field(default_factory=SceneAccounts)
    counters: MemoryCounters = field(default_factory=MemoryCounters)
    now: float = NOW

    def __post_init__(self) -> None:
        self.issuer = an_issuer()
        self.logins = self.built()

    def clock(self) -> float:
        return self.now

    def configure(self, **changed: Any) -> "ProviderScene":
        """Change keys of the provider."""
        values = {name: getattr(PROVIDER, name) for name in Provider.__dataclass_fields__}
        self.provider.provider = Provider(**{**values, **changed})
        self.logins = self.built()
        return self

    def built(self) -> ProviderLogins:
        provider, calls = self.provider.provider, self.provider.calls
        documents = ProviderDocuments(provider.issuer, calls, clock=self.clock)
        self.connected = ConnectedProvider(provider, calls, documents, clock=self.clock)
        return ProviderLogins(
            {provider.name: self.connected},
            self.issuer,
            self.users,
            self.counters,
            self.users,
            budget=AddressBudget(PER_CALLBACK, self.clock),
            requires_code=lambda user: user.has_totp,
            clock=self.clock,
        )

    async def start(self, **arguments: Any) -> StartedFlow:
        return await self.logins.start("company", SITE, **arguments)

    def answer(self, flow: StartedFlow, **claims: Any) -> Pairs:
        """Let the user log in at the provider; return the query of the callback."""
        sent = query_of(flow)
        self.provider.tokens["id_token"] = self.provider.id_token(sent["nonce"], **claims)
        return [("code", "C1"), ("state", sent["state"])]

    async def callback(
        self,
        pairs: Pairs,
        *tickets: str,
        site: LoginSite = SITE,
        address: str = ADDRESS,
        name: str = "company",
    ) -> FinishedLogin | FinishedLink | RefusedLogin:
        return await self.logins.finish(name, site, pairs, tickets, address=address)

    async def log_in(self, **claims: Any) -> FinishedLogin | FinishedLink | RefusedLogin:
        """Log in with these claims of the ID token."""
        flow = await self.start()
        return await self.callback(self.answer(flow, **claims), flow.ticket)

    async def logged_in(self, **claims: Any) -> FinishedLogin:
        found = await self.log_in(**claims)
        assert isinstance(found, FinishedLogin), found
        return found


def query_of(flow: StartedFlow) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(flow.url).query))


def cause_of(found: object) -> str:
    """Return the code and the cause of a refused login."""
    assert isinstance(found, RefusedLogin), found
    return f"{found.error.code}/{found.error.cause}"
