"""Events that an operator must be able to count: who logged in, was refused, was logged out."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `name` is login, login_failure, refresh_reuse, logout, revoke,
    loop, allow, deny or failure; `sid` names the session, no token is ever part of it.
    """

    name: str
    request_id: str
    address: str
    sub: str = ""
    sid: str = ""
    reason: str = ""
    detail: str = ""


Record = Callable[[Event], None]
