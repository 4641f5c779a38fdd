"""Rounds of requests that are sent once each, and sessions for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, repeat

from authgw.core.tokens import TokenType
from bench.gateways import ORIGINAL, BenchGateway, BenchRedis, Lab, bearer
from bench.hot import PATH
from bench.measure import Sample, sample
from bench.population import new_sessions, put, tokens
from bench.wrk import CONNECTIONS, WrkResult, load_each, request, write_requests

# Requests of `count` different subjects, from the subject `first` on.
Make = Callable[[int, int], Sequence[bytes]]
_FIRST: Iterator[int] = accumulate(repeat(10**9))  # the first subject of each variant


class EachOnce:
    """Rounds of requests by subjects that no other round uses.

    `make` prepares the requests, first `per_second` for each second of a round.
    """

    def __init__(
        self,
        made: Lab,
        port: int,
        parts: Mapping[str, Sequence[int]],
        make: Make,
        seconds: int,
        *,
        per_second: int,
        connections: int = CONNECTIONS,
    ) -> None:
        self._file = made.directory("once") / "requests"
        self._port, self._parts, self._make = port, parts, make
        self._seconds, self._connections = seconds, connections
        self._count = per_second * seconds
        self._first = next(_FIRST)

    def measure(self) -> Sample:
        """Measure a round, and prepare fewer requests for the next if this needed fewer."""
        write_requests(self._file, self._make(self._count, self._first))
        self._first += self._count
        return sample(self._parts, self._load)

    def _load(self) -> WrkResult:
        result = load_each(
            self._port, self._file, self._seconds, self._connections, once=self._count
        )
        self._count = min(self._count, 2 * result.requests + 2000)
        return result


class StoredSessions:
    """Sessions as after logins, in the gateway's Redis."""

    def __init__(self, redis: BenchRedis, gateway: BenchGateway) -> None:
        self._redis, self._keys = redis.client(), gateway.keys

    def tokens(self, kind: TokenType, count: int, first: int) -> list[str]:
        """Store new sessions and return a token of each."""
        sessions = list(new_sessions(count, first))
        put(self._redis, sessions)
        return tokens(self._keys, sessions, kind)


def checks_of(minted: Sequence[str]) -> list[bytes]:
    """Return a check of each access token."""
    return [request("GET", PATH, {**ORIGINAL, **bearer(token)}) for token in minted]


def known_again(
    made: Lab,
    port: int,
    parts: Mapping[str, Sequence[int]],
    requests: Sequence[bytes],
    seconds: int,
) -> Callable[[], Sample]:
    """Return the measurement of rounds that send each of the same requests once.

    Raises:
        NotMeasured: there are too few requests for a round.
    """
    file = made.directory("again") / "requests"
    write_requests(file, requests)
    return partial(sample, parts, partial(load_each, port, file, seconds, once=len(requests)))
