"""Allowed checks of watched sessions, which tell a redirect loop from several tabs.

Allowed checks are noted only for sessions that visited a login page, by the replica that handles
them.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from authgw.core.limits import MAX_WATCHED_HOSTS, MAX_WATCHED_SESSIONS


class AllowedChecks:
    """Hosts on which a session was allowed since it visited a login page, with the time."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._hosts: OrderedDict[str, dict[str, float]] = OrderedDict()

    def watch(self, sid: str) -> None:
        """Note allowed checks of this session from now on."""
        self._hosts.setdefault(sid, {})
        self._hosts.move_to_end(sid)
        if len(self._hosts) > MAX_WATCHED_SESSIONS:
            self._hosts.popitem(last=False)

    def watches(self, sid: str) -> bool:
        """Return True if allowed checks of this session are noted."""
        return sid in self._hosts

    def note(self, sid: str, host: str) -> None:
        """Note an allowed check, if the session is watched."""
        hosts = self._hosts.get(sid)
        if hosts is None:
            return
        if len(hosts) >= MAX_WATCHED_HOSTS:
            hosts.clear()
        hosts[host] = self.clock()

    def since(self, sid: str, host: str, then: float) -> bool:
        """Return True if a check on this host was allowed at `then` (Unix seconds) or later."""
        return self._hosts.get(sid, {}).get(host, 0.0) >= then
