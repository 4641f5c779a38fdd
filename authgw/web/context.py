"""The parts and the request properties that handlers use."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from authgw.core.audit import AuditRecorder, Event, Fields, Target
from authgw.core.authorization import OwnIdentifiers
from authgw.core.budget import AddressBudget
from authgw.core.counters import Counters
from authgw.core.errors import TargetMalformedError
from authgw.core.keys import KeyRing
from authgw.core.limits import MAX_USER_AGENT_LENGTH
from authgw.core.reasons import CAUSES
from authgw.core.sessions import Device
from authgw.core.urls import canonical_host
from authgw.core.users import User, UserDirectory
from authgw.dialects import headers
from authgw.forward_auth.allowed_checks import AllowedChecks
from authgw.forward_auth.context import Policy
from authgw.forward_auth.endpoint import CheckEndpoint
from authgw.forward_auth.own_target import own_target
from authgw.forward_auth.request_ids import request_id as new_request_id
from authgw.identity.clients_file import TrustedBackends
from authgw.services.identify import Identification
from authgw.services.login import LoginService
from authgw.services.sessions import Sessions
from authgw.web.login_methods import LoginMethod, Routes, SecondFactor
from authgw.web.provider_parts import ProviderParts
from authgw.web.templating import PageRenderer


@dataclass(frozen=True, slots=True)
class LoginContext:
    """The parts that log users in.

    `methods` are the first steps, `factors` the second; users who have no second factor see the
    page of the first factor. A device is recognised for `device_lifetime` seconds after a login.
    `allowed_checks` tells a login that leads back to itself from several tabs. `providers` is None
    without identity providers.
    """

    users: UserDirectory
    service: LoginService
    device_lifetime: float
    pages: PageRenderer
    methods: tuple[LoginMethod, ...]
    factors: tuple[SecondFactor, ...]
    allowed_checks: AllowedChecks
    providers: ProviderParts | None = None

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
    sign. `strangers` limits what requests without valid credentials write to the store.
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
    strangers: AddressBudget

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
    checks: CheckEndpoint

    async def settle(self) -> None:
        """Wait for background writes, and for calls to identity providers."""
        if self.login.providers is not None:
            await self.login.providers.settle()
        await self.services.sessions.settle()


# The gateway that handles a request, from beginning to end.
GATEWAY = web.RequestKey("gateway", Gateway)
# The address of a request's peer, or `unix`.
PEER = web.RequestKey("peer", str)
_ID = web.RequestKey("request_id", str)
_CLIENT_ADDRESS = web.RequestKey("client_address", str)


def peer_of(request: web.BaseRequest) -> str:
    """Return the address of the request's peer, or `unix`."""
    return request[PEER]


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
        trusted = request[GATEWAY].policy.trusted
        known_id = new_request_id(request.raw_headers, peer_of(request), trusted)
        request[_ID] = known_id
    return known_id


def target_of(request: web.Request) -> Target:
    """Return method, host and path of a request to the gateway itself."""
    return own_target(request.method, request.rel_url.raw_path, request.raw_headers)


def record(
    request: web.Request,
    name: str,
    *,
    sub: str = "",
    sid: str = "",
    reason: str = "",
    sentence: str = "",
    credential: str = "",
    cause: str = "",
    more: Fields = (),
) -> None:
    """Record an event about this request; the meaning of `cause` is its `sentence` by default."""
    event = Event(
        name,
        request_id(request),
        client_address(request),
        sub,
        sid,
        reason,
        sentence or CAUSES.get(cause, ""),
        target=target_of(request),
        credential=credential,
        cause=cause,
        more=more,
    )
    request[GATEWAY].services.record(event)
