"""Events that an operator must be able to count: who logged in, was refused, was logged out."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `name` is login, login_failure, refresh_reuse, logout, revoke,
    loop, allow, deny or failure; `sid` names the session, no token is ever part of it.
    `authorization` is `foreign` if the request had an Authorization that is not ours.
    """

    name: str
    request_id: str
    address: str
    sub: str = ""
    sid: str = ""
    reason: str = ""
    detail: str = ""
    authorization: str = ""


Record = Callable[[Event], None]
