"""The parts and the request properties that handlers use."""

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from authgw.config.schema import Settings
from authgw.core.audit import AuditRecorder, Event
from authgw.core.authorization import OwnIdentifiers
from authgw.core.counters import Counters
from authgw.core.errors import TargetMalformedError
from authgw.core.keys import KeyRing
from authgw.core.limits import MAX_USER_AGENT_LENGTH
from authgw.core.login_sites import LoginSites
from authgw.core.model import IdentityHeaders
from authgw.core.networks import UNIX, TrustedProxies
from authgw.core.rules import NO_RULES, Rules
from authgw.core.sessions import Device
from authgw.core.urls import canonical_host
from authgw.core.users import User, UserDirectory
from authgw.dialects import headers
from authgw.identity.clients_file import TrustedBackends
from authgw.services.identify import Identification
from authgw.services.login import LoginService
from authgw.services.sessions import Sessions
from authgw.web.aiohttp_internals import peername
from authgw.web.login_methods import LoginMethod, Routes, SecondFactor
from authgw.web.templating import PageRenderer
from authgw.web.visits import AllowedChecks

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Policy:
    """Access decisions and addresses that the configuration sets.

    `cookies` are all names of session cookies. Settings that need no preparation are read from
    `settings`.
    """

    rules: Rules
    sites: LoginSites
    cookies: frozenset[str]
    trusted: TrustedProxies
    identity: IdentityHeaders
    settings: Settings

    @property
    def direct_check(self) -> bool:
        """True if a program may check its session without an original request."""
        return self.settings.auth.direct_check or self.rules is NO_RULES

    @property
    def record_allowed(self) -> bool:
        """True if allowed checks are events, too."""
        return self.settings.logging.decisions == "all"


@dataclass(frozen=True, slots=True)
class LoginContext:
    """The parts that log users in.

    `methods` are the first steps, `factors` the second; users who have no second factor see the
    page of the first factor. A device is recognised for `device_lifetime` seconds after a login.
    `allowed_checks` tells a login that leads back to itself from several tabs.
    """

    users: UserDirectory
    service: LoginService
    device_lifetime: float
    pages: PageRenderer
    methods: tuple[LoginMethod, ...]
    factors: tuple[SecondFactor, ...]
    allowed_checks: AllowedChecks = field(default_factory=AllowedChecks)

    @property
    def routes(self) -> Routes:
        """Return the handlers of all methods and factors."""
        parts = (*[part.routes for part in self.methods], *[part.routes for part in self.factors])
        return {key: handler for routes in parts for key, handler in routes.items()}

    def factor_of(self, user: User | None) -> SecondFactor:
        """Return the second factor that this user has set up, else the first factor."""
        own = (factor for factor in self.factors if user and factor.is_set_up(user))
        return next(own, self.factors[0])


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that keep sessions, keys and events.

    `identifiers` distinguish our tokens from those of an app. `ready` returns the reason why this
    replica is not ready, or an empty text. `check_keys` raises KeysNotSharedError while it may not
    sign.
    """

    sessions: Sessions
    identifiers: OwnIdentifiers
    backends: TrustedBackends
    counters: Counters
    keys: KeyRing
    record: AuditRecorder
    clock: Callable[[], float]
    ready: Callable[[], Awaitable[str]]
    check_keys: Callable[[], None]

    @property
    def identification(self) -> Identification:
        """Return the use case that identifies callers by these sessions."""
        return self.sessions.identification


@dataclass(frozen=True, slots=True)
class Gateway:
    """All parts that handlers use; a reload replaces it as a whole."""

    policy: Policy
    login: LoginContext
    services: Services


# The gateway that handles a request, from beginning to end.
GATEWAY = web.RequestKey("gateway", Gateway)
_ID = web.RequestKey("request_id", str)
_CLIENT_ADDRESS = web.RequestKey("client_address", str)


def peer_of(request: web.BaseRequest) -> str:
    """Return the address of the request's peer, or `unix`."""
    return peer_name(peername(request))


def peer_name(name: Any) -> str:
    """Return the address in a socket's `peername`, or `unix`.

    The peer of a unix socket chooses its own path there, which could be `127.0.0.1`.
    """
    return str(name[0]) if isinstance(name, tuple) else UNIX


def client_address(request: web.Request) -> str:
    """Return the address of the client according to the trusted proxies."""
    address = request.get(_CLIENT_ADDRESS)
    if address is None:
        trusted = request[GATEWAY].policy.trusted
        address = headers.client_address(request.raw_headers, peer_of(request), trusted)
        request[_CLIENT_ADDRESS] = address
    return address


def host_of(request: web.Request) -> str:
    """Return the canonical host of the Host header, empty if it is not valid."""
    try:
        return canonical_host(request.headers.get("Host", ""))
    except TargetMalformedError:
        return ""


def device_of(request: web.Request) -> Device:
    """Return the device that sent the request, as a session stores it."""
    agent = request.headers.get("User-Agent", "")[:MAX_USER_AGENT_LENGTH]
    return Device(agent.encode("utf-8", "replace").decode(), client_address(request))


def request_id(request: web.Request) -> str:
    """Return the X-Request-ID of a trusted proxy, else a random id."""
    known_id = request.get(_ID)
    if known_id is None:
        known_id = request[_ID] = _proxy_id(request) or secrets.token_hex(8)
    return known_id


def record(
    request: web.Request,
    name: str,
    *,
    sub: str = "",
    sid: str = "",
    reason: str = "",
    detail: str = "",
    authorization: str = "",
) -> None:
    """Record an event about this request."""
    event = Event(
        name,
        request_id(request),
        client_address(request),
        sub,
        sid,
        reason,
        detail,
        authorization,
    )
    request[GATEWAY].services.record(event)


def _proxy_id(request: web.Request) -> str:
    sent = request.headers.get("X-Request-ID", "")
    is_trusted = request[GATEWAY].policy.trusted.trusts(peer_of(request))
    return sent if is_trusted and _REQUEST_ID.fullmatch(sent) else ""
