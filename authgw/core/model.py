"""The values that pass between the layers."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified subject, as its session record knows it."""

    sub: str
    sid: str
    groups: tuple[str, ...] = ()
    email: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the original request goes: canonical host, raw path, query without `?`."""

    scheme: str
    host: str
    path: str
    query: str


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The client's original request, without its credentials.

    `preflight_method` is what a CORS preflight asks leave for, None if this is none.
    """

    method: str
    location: Location
    client_address: str
    preflight_method: str | None = None


class Verdict(Enum):
    """What to tell the proxy."""

    ALLOW = "allow"
    LOGIN = "login"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict; `reason` is a code of `core.errors.REASONS`, empty for ALLOW."""

    verdict: Verdict
    reason: str = ""
    principal: Principal | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a proxy; the body is always empty (with one NGINX drops keep-alive)."""

    status: int
    headers: tuple[tuple[str, str], ...]


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
