"""Visits of a signed-in browser to a login page, which tell a redirect loop from several tabs.

A loop repeats the same return target without an allowed check in between. The browser carries the
number of visits in a cookie: tabs that are reloaded at once carry the same number, a chain of
redirects a growing number. Allowed checks are noted only for sessions that visited a login page, by
the replica that handles them.
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from authgw.core.limits import LOOP_WINDOW, MAX_WATCHED_HOSTS, MAX_WATCHED_SESSIONS

_MARK = re.compile(r"([0-9a-f]{16})\.([0-9]{1,3})\.([0-9]{1,15})")


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


@dataclass(frozen=True, slots=True)
class Visit:
    """The latest visit; `mark` identifies session and return target, `at` is in Unix seconds."""

    mark: str
    number: int
    at: float

    @property
    def text(self) -> str:
        """The value of its cookie."""
        return f"{self.mark}.{self.number}.{int(self.at * 1000)}"


def next_visit(
    carried: tuple[str, ...], sid: str, host: str, rd: str, allowed: AllowedChecks
) -> Visit:
    """Return this visit; its number is 1 unless it continues a chain of the `carried` cookies."""
    mark = hashlib.sha256(f"{sid} {rd}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    now, before = allowed.clock(), 0
    for name, number, at in (match.groups() for match in map(_MARK.fullmatch, carried) if match):
        then = int(at) / 1000
        if name == mark and 0 <= now - then <= LOOP_WINDOW and not allowed.since(sid, host, then):
            before = max(before, int(number))
    return Visit(mark, before + 1, now)
