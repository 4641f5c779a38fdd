"""The parts and the request properties that handlers use."""

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from authgw.core.audit import Event, Record
from authgw.core.authorization import OwnMarks
from authgw.core.counters import Counters
from authgw.core.errors import TargetMalformedError
from authgw.core.keys import KeyRing
from authgw.core.login_sites import LoginSites
from authgw.core.model import IdentityHeaders
from authgw.core.networks import UNIX, TrustedProxies
from authgw.core.rules import Rules
from authgw.core.sessions import Device
from authgw.core.urls import canonical_host
from authgw.core.users import UserDirectory
from authgw.dialects import headers
from authgw.identity.clients_file import TrustedBackends
from authgw.services.identify import Identification
from authgw.services.login import LoginService
from authgw.services.sessions import Sessions
from authgw.web.aiohttp_internals import peername
from authgw.web.templating import PageRenderer
from authgw.web.visits import AllowedChecks

_MAX_AGENT_LENGTH = 256  # characters of a User-Agent that a session stores
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Policy:
    """Access decisions and addresses that the configuration sets.

    `direct_check`: a program may check its session without an original request. `cookies` are all
    names of session cookies. `record_allowed`: allowed checks are events, too. `docs`: the page
    of the API is served.
    """

    rules: Rules
    sites: LoginSites
    cookies: frozenset[str]
    trusted: TrustedProxies
    identity: IdentityHeaders
    direct_check: bool
    open_login: bool
    record_allowed: bool
    docs: bool


@dataclass(frozen=True, slots=True)
class LoginContext:
    """The parts that log users in.

    A device is recognised for `device_lifetime` seconds after a login. `allowed_checks` tells a
    login that leads back to itself from several tabs.
    """

    users: UserDirectory
    service: LoginService
    device_lifetime: float
    pages: PageRenderer
    allowed_checks: AllowedChecks = field(default_factory=AllowedChecks)


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that keep sessions, keys and events.

    `marks` identify our own tokens. `ready` returns the reason why this replica is not ready, or
    an empty text. `check_keys` raises KeysNotSharedError while this replica may not sign.
    """

    sessions: Sessions
    marks: OwnMarks
    backends: TrustedBackends
    counters: Counters
    keys: KeyRing
    record: Record
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
    trusted = request[GATEWAY].policy.trusted
    return headers.client_address(request.raw_headers, peer_of(request), trusted)


def host_of(request: web.Request) -> str:
    """Return the canonical host of the Host header, empty if it is not valid."""
    try:
        return canonical_host(request.headers.get("Host", ""))
    except TargetMalformedError:
        return ""


def device_of(request: web.Request) -> Device:
    """Return the device that sent the request, as a session stores it."""
    agent = request.headers.get("User-Agent", "")[:_MAX_AGENT_LENGTH]
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
