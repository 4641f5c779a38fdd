"""Budgets of addresses, in the memory of this replica.

A request without valid credentials writes to the store only within the budget of its address, so
that strangers cannot fill the store or occupy a service behind the gateway.
"""

from collections import OrderedDict
from collections.abc import Callable

from authgw.core.limits import MAX_BUDGETED_ADDRESSES, ThrottleLimit
from authgw.core.networks import counted_network


class AddressBudget:
    """Budget of each IPv4 address and IPv6 /64: `limit` attempts in a window, such as PER_CALLBACK.

    `clock` returns seconds of a clock that never runs back. Beyond `MAX_BUDGETED_ADDRESSES` the
    address whose window began first is forgotten.
    """

    def __init__(self, limit: ThrottleLimit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        # The end of the window and the attempts in it, in the order of the ends.
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def admit(self, address: str) -> bool:
        """Count an attempt from this address; return False if its budget is used up."""
        name, now = counted_network(address), self._clock()
        end, attempts = self._windows.get(name, (0.0, 0))
        if now >= end:
            self._windows.pop(name, None)
            end, attempts = now + self._limit.window, 0
        if attempts >= self._limit.max_failures:
            return False
        self._windows[name] = (end, attempts + 1)
        if len(self._windows) > MAX_BUDGETED_ADDRESSES:
            self._windows.popitem(last=False)
        return True

    def give_back(self, address: str) -> None:
        """Subtract an attempt that was successful."""
        name = counted_network(address)
        end, attempts = self._windows.get(name, (0.0, 0))
        if attempts:
            self._windows[name] = (end, attempts - 1)

    def retry_after(self, address: str) -> float:
        """Return the seconds until the window of this address ends, 0 without a window."""
        end, _ = self._windows.get(counted_network(address), (0.0, 0))
        return max(0.0, end - self._clock())
