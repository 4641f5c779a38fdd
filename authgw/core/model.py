"""Values that the layers exchange: request, principal, decision, response."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from authgw.core.value_type import value_type

# Begins the `source` of sessions that a login at an identity provider opened; its name follows.
PROVIDER_PREFIX = "oidc:"
# Begins the `source` of sessions that a trusted backend opened; its id follows.
BACKEND_PREFIX = "client:"
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@value_type()
class Principal:
    """A verified subject; `sid` is empty for an app password, `totp` means two factors.

    `profile` are the claims that only upstreams use, such as `email` and `name`. `source` names the
    verifier as in `sessions.Session`: a user of the users file, an identity provider, a trusted
    backend. `auth_time` is the time of the oldest proof in Unix seconds, `amr` lists the methods.
    `can_add_factor` is False if no code of this gateway can be added to the login.
    """

    sub: str
    sid: str
    groups: tuple[str, ...] = ()
    profile: Mapping[str, str] = field(default_factory=dict)
    totp: bool = False
    source: str = ""
    amr: tuple[str, ...] = ()
    auth_time: float = 0.0
    can_add_factor: bool = True

    @property
    def claims(self) -> dict[str, str]:
        """All claims by name, as texts for headers."""
        return {"user": self.sub, "groups": ",".join(self.groups), **self.profile}


@value_type()
class Location:
    """Target of the original request: canonical host, raw path, query without `?`.

    `port` is the port as it was sent, with its colon, or empty.
    """

    scheme: str
    host: str
    path: str
    query: str
    port: str = ""

    @property
    def origin(self) -> str:
        """Origin: scheme, host and port, without the scheme's default port."""
        digits = self.port.removeprefix(":").lstrip("0")
        port = "" if digits in ("", _DEFAULT_PORTS.get(self.scheme)) else f":{digits}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def url(self) -> str:
        """URL of the target, to which a browser returns after a login."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.origin}{self.path}{query}"


@value_type()
class FurtherTarget:
    """Further method or URL of the same request, such as the Destination of a MOVE.

    `code` is the code of the refusal if this target is not allowed.
    """

    code: str
    method: str
    location: Location


@value_type()
class AccessRequest:
    """The client's original request, without its credentials.

    `preflight_method` is the method that a CORS preflight requests, None for any other request;
    `wants_html` is True if a browser would show the response as a page; `referer` is the Referer
    header, which names the page from which a browser submitted a form. The request is allowed only
    if each target of `further` is allowed as well, for the same caller.
    """

    method: str
    location: Location
    client_address: str
    preflight_method: str | None = None
    wants_html: bool = False
    further: tuple[FurtherTarget, ...] = ()
    referer: str = ""

    @property
    def navigates(self) -> bool:
        """Report whether a browser follows a redirect of this request to a page."""
        return self.wants_html and self.method in ("GET", "HEAD", "POST")


class Verdict(Enum):
    """Result of a check: allow, log in first, or deny."""

    ALLOW = "allow"
    LOGIN = "login"
    DENY = "deny"


@value_type()
class Decision:
    """A verdict; `reason` is a code of `core.reasons.REASONS`, empty for ALLOW.

    `detail` is for the operator only: the rule and its requirement. `accepts_basic` means that the
    rule accepts app passwords, which programs send only after a Basic challenge; `accepts_cookie`
    means that a login of a browser can satisfy the rule; `needs` lists the groups and users that
    the rule allows.
    """

    verdict: Verdict
    reason: str = ""
    principal: Principal | None = None
    detail: str = ""
    accepts_basic: bool = False
    accepts_cookie: bool = True
    needs: tuple[str, ...] = ()


@value_type()
class ProxyResponse:
    """A response to a proxy; `body` is for proxies that pass it on to the client."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str = ""


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """Names of the headers that carry the identity to an upstream, by claim."""

    by_claim: Mapping[str, str]

    def __hash__(self) -> int:
        return hash(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all identity headers."""
        return tuple(self.by_claim.values())
