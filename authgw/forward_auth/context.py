"""The parts of a gateway that checks use."""

from collections.abc import Callable
from dataclasses import dataclass

from authgw.config.schema import Settings
from authgw.core.audit import AuditRecorder
from authgw.core.authorization import OwnIdentifiers
from authgw.core.login_sites import LoginSites
from authgw.core.model import AccessRequest, Decision, IdentityHeaders, ProxyResponse
from authgw.core.networks import TrustedProxies
from authgw.core.rules import NO_RULES, Rules
from authgw.core.users import UserDirectory
from authgw.forward_auth.allowed_checks import AllowedChecks
from authgw.forward_auth.response_bytes import Response
from authgw.services.identify import Identification

# Returns the page of a refusal for a browser: decision, request, response without it, request id.
RefusalPage = Callable[[Decision, AccessRequest, ProxyResponse, str], Response]


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
class CheckContext:
    """The parts that decide a check.

    `identifiers` distinguish our tokens from those of an app; `clock` returns Unix seconds.
    """

    policy: Policy
    identification: Identification
    identifiers: OwnIdentifiers
    users: UserDirectory
    record: AuditRecorder
    clock: Callable[[], float]
    allowed_checks: AllowedChecks
    refusal_page: RefusalPage
