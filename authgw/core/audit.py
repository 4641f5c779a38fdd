"""Audit events for the operator: logins, refusals, logouts and revocations."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """An audit event; it never contains a token.

    `name` is login, login_failure, refresh_reuse, logout, revoke, loop, allow, deny or failure;
    `sid` names the session. `authorization` is `foreign` if the request had an Authorization
    header that is not authgw's.
    """

    name: str
    request_id: str
    address: str
    sub: str = ""
    sid: str = ""
    reason: str = ""
    detail: str = ""
    authorization: str = ""


AuditRecorder = Callable[[Event], None]
