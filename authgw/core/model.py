"""The values that pass between the layers."""

from dataclasses import dataclass
from enum import Enum

_OWN_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified subject; `sid` is empty for an app password, `totp` says two factors."""

    sub: str
    sid: str
    groups: tuple[str, ...] = ()
    email: str = ""
    name: str = ""
    totp: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """Where the original request goes: canonical host, raw path, query without `?`.

    `port` is as it was sent, with its colon, or empty.
    """

    scheme: str
    host: str
    path: str
    query: str
    port: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port, without the scheme's own port."""
        digits = self.port.removeprefix(":").lstrip("0")
        port = "" if digits in ("", _OWN_PORTS.get(self.scheme)) else f":{digits}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def url(self) -> str:
        """The address that a browser would be sent back to."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.origin}{self.path}{query}"


@dataclass(frozen=True, slots=True)
class FurtherTarget:
    """Another method or address of the same request, such as the Destination of a MOVE.

    `code` is the code of the refusal where it is not allowed.
    """

    code: str
    method: str
    location: Location


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The client's original request, without its credentials.

    `preflight_method` is what a CORS preflight asks leave for, None if this is none;
    `wants_html` is whether a browser would show the answer as a page; `referer` is the Referer
    header, which names the page that a browser posted a form from. The request is allowed only if
    each of `further` is, to the same caller.
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
        """Whether a browser follows a redirect of this request to a page."""
        return self.wants_html and self.method in ("GET", "HEAD", "POST")


class Verdict(Enum):
    """What to tell the proxy."""

    ALLOW = "allow"
    LOGIN = "login"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict; `reason` is a code of `core.errors.REASONS`, empty for ALLOW.

    `detail` is for the operator only: which rule asked for what. `takes_basic` says that the
    rule takes app passwords, for which programs wait to be asked; `takes_cookie` says that a
    login of a browser can satisfy the rule; `needs` names whom the rule lets pass.
    """

    verdict: Verdict
    reason: str = ""
    principal: Principal | None = None
    detail: str = ""
    takes_basic: bool = False
    takes_cookie: bool = True
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProxyResponse:
    """An answer to a proxy; `body` is for proxies that hand it on to the client."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str = ""


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """The names under which an upstream is told who asks."""

    user: str = "Remote-User"
    groups: str = "Remote-Groups"
    email: str = "Remote-Email"
    name: str = "Remote-Name"

    @property
    def names(self) -> tuple[str, str, str, str]:
        """All four, in the order of `values`."""
        return (self.user, self.groups, self.email, self.name)
