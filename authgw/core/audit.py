"""Audit events for the operator: logins, refusals, logouts, revocations and changes by commands."""

from collections.abc import Callable
from typing import NamedTuple


class Target(NamedTuple):
    """The target of a request: method, canonical host, and path as it was sent, without query."""

    method: str = ""
    host: str = ""
    path: str = ""


NO_TARGET = Target()
# Fields of few events: their names in `core.log_events.FIELDS`, and their values.
Fields = tuple[tuple[str, str | int], ...]


class Event(NamedTuple):
    """An audit event; it never contains a token, a password or a query string.

    `name` is one of `core.log_events.AUDIT_EVENTS`, `sentence` explains it, `target`
    the original request of a check, else the request to the gateway itself. `sub` and `sid` name
    subject and session, `credential` is the kind of credential that was sent. `rule` is the rule
    that decided a check, `status` the status of a refused or allowed check; 0 stands for the status
    of `reason`. `cause` is a code of `core.reasons.CAUSES`. `authorization` is `foreign` if the
    request had an Authorization header that is not authgw's. `more` are fields of few events, by
    their names in `core.log_events.FIELDS`.
    """

    name: str
    request_id: str = ""
    address: str = ""
    sub: str = ""
    sid: str = ""
    reason: str = ""
    sentence: str = ""
    authorization: str = ""
    target: Target = NO_TARGET
    status: int = 0
    rule: str = ""
    credential: str = ""
    cause: str = ""
    more: Fields = ()

    def repeated(self, request_id: str) -> "Event":
        """Return the same event of a request with this id."""
        # Faster than `_replace`.
        return Event(self[0], request_id, *self[2:])

    @property
    def detail(self) -> str:
        """The text of the deprecated field `detail`: of a check, status and target come first."""
        method, host, path = self.target
        if not self.status or not method:
            return self.sentence
        if self.name == "allow":
            return f"{method} {host}{path}"
        return f"{self.status} {method} {host}{path}: {self.sentence}"


AuditRecorder = Callable[[Event], None]


def account_fields(provider: str, account: str = "") -> Fields:
    """Return the fields that name an account of an identity provider, without empty values."""
    named = (("authgw.provider", provider), ("authgw.account", account))
    return tuple((name, value) for name, value in named if value)
