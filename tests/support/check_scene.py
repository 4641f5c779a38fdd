"""A check's endpoint without a server, with its store and its events."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from authgw.config.schema import Settings
from authgw.core.audit import Event
from authgw.core.login_sites import LoginSites
from authgw.core.model import AccessRequest, Decision, ProxyResponse
from authgw.core.networks import TrustedProxies
from authgw.core.rules import Rules
from authgw.core.sessions import Snapshot
from authgw.core.tokens import TokenType
from authgw.core.users import NoUsers
from authgw.dialects.base import Subrequest
from authgw.dialects.nginx import NGINX
from authgw.forward_auth.allowed_checks import AllowedChecks
from authgw.forward_auth.context import CheckContext, Policy
from authgw.forward_auth.decision_cache import CheckKey
from authgw.forward_auth.endpoint import Begun, CheckEndpoint
from authgw.forward_auth.response_bytes import Response
from authgw.services.identify import Identification
from tests.support.builders import NOW, a_session, an_issuer
from tests.support.memory_store import MemoryStore
from tests.support.rules import ADMINS, ANYONE, AUTHENTICATED, rule

PEER = "127.0.0.1"
SESSION = replace(a_session(), confirmed=True)
RULES = [
    rule(ADMINS, "/admin", number=0),
    rule(ANYONE, "/public", number=1),
    rule(AUTHENTICATED, host="app.example.com", number=2),
]
PAGE = Response(403, body=b"a page")


class PeekingStore(MemoryStore):
    """A store whose sessions are mirrored, unless they have to be read."""

    has_to_read = False

    def peek(self, sid: str) -> Snapshot | None:
        return None if self.has_to_read else self.snapshot(sid)


def page(_: Decision, __: AccessRequest, ___: ProxyResponse, ____: str) -> Response:
    return PAGE


@dataclass
class CheckScene:
    """An endpoint with its store and its events."""

    endpoint: CheckEndpoint
    store: PeekingStore
    events: list[Event]
    users: NoUsers
    now: float = NOW
    token: str = field(default_factory=lambda: an_issuer().mint(SESSION, TokenType.ACCESS, now=NOW))

    def begin(self, *headers: tuple[str, str], is_plain: bool = True, **more: Any) -> Begun:
        dialect = more.pop("dialect", NGINX)
        return self.endpoint.begin(subrequest(*headers, **more), dialect, is_plain=is_plain)

    def bearer(self) -> tuple[str, str]:
        return ("Authorization", f"Bearer {self.token}")

    def cached(self, *headers: tuple[str, str], peer: str = PEER) -> Response | None:
        names, values = zip(*encoded(headers), strict=True)
        found = self.endpoint.lookup(peer, names, values)
        return found if isinstance(found, Response) else None

    def known(self, *headers: tuple[str, str], peer: str = PEER) -> Begun | None:
        names, values = zip(*encoded(headers), strict=True)
        found = self.endpoint.lookup(peer, names, values)
        return self.endpoint.begin_known(found) if isinstance(found, CheckKey) else None


def encoded(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.encode()) for name, value in headers)


def subrequest(
    *headers: tuple[str, str], method: str = "GET", path: str = NGINX.path, peer: str = PEER
) -> Subrequest:
    return Subrequest(method, path, encoded(headers), peer)


def original(
    path: str = "/", *, host: str = "app.example.com", method: str = "GET"
) -> tuple[tuple[str, str], ...]:
    return (
        ("X-Original-URL", f"https://{host}{path}"),
        ("X-Original-Host", host),
        ("X-Original-Method", method),
    )


def at_once(begun: Begun) -> Response:
    assert isinstance(begun, Response)
    return begun


async def later(begun: Begun) -> Response:
    assert asyncio.iscoroutine(begun)
    return await begun


def made(users: NoUsers, decisions: str = "denied") -> CheckScene:
    settings = Settings.model_validate({"logging": {"decisions": decisions}})
    store, events = PeekingStore(), list[Event]()
    store.now = NOW
    issuer = an_issuer()
    policy = Policy(
        Rules(RULES),
        LoginSites(),
        frozenset({"authgw"}),
        TrustedProxies.parse((PEER,)),
        settings.headers.identity,
        settings,
    )
    identification = Identification(store, issuer, users, clock=lambda: result.now)
    checks = CheckContext(
        policy,
        identification,
        issuer.identifiers,
        users,
        events.append,
        lambda: NOW,
        AllowedChecks(),
        page,
    )
    result = CheckScene(CheckEndpoint(checks), store, events, users)
    return result
