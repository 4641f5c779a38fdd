"""Cost of a login, of a refresh and of a logout, in the gateway and in Redis."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, repeat

from authgw.core.sessions import Session
from authgw.core.tokens import TokenType
from bench.gateways import BenchGateway, BenchRedis, Lab, bearer, lab, loop_of
from bench.go_service import GoService, go_name, go_service, logins, parts_of, x_go
from bench.hot import limit_checks
from bench.measure import ROUNDS, Measure, Sample, in_turn, median, ratio, sample, table
from bench.outcome import Benchmark, Outcome
from bench.population import new_sessions, put, tokens
from bench.wrk import WrkResult, load_each, request, write_requests

_KINDS = ("login", "refresh", "logout")
_PER_SECOND = 6000  # more than a replica can do at first; later rounds follow the rate before
_GO_PER_SECOND = 16_000
_LIMIT = "raw httptools"

# Requests of `count` different subjects, from the subject `first` on.
_Make = Callable[[int, int], Sequence[bytes]]


def measure(quick: bool) -> Outcome:
    """Log in, refresh and log out in turn, each time with a different subject."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        samples = in_turn(_variants(made, redis, gateway, seconds))
        loop = loop_of(gateway)
    medians = {name: median(rounds) for name, rounds in samples.items()}
    figures = {
        **{f"{kind}_us": medians[kind].total for kind in _KINDS},
        **{f"{kind}_x_limit": ratio(samples[kind], samples[_LIMIT]) for kind in _KINDS},
        **{f"{kind}_x_go": x_go(samples, kind) for kind in _KINDS},
        "cpu_us": {name: result.cpu for name, result in medians.items()},
    }
    note = f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections; the gateway runs {loop}."
    title = "/login by a trusted backend, /refresh and /logout"
    return Outcome(figures, (table(title, samples, parts_of(samples)),), (note,))


BENCHMARK = Benchmark("issue", "What a log-in, a refresh and a log-out cost.", measure)


def _variants(
    made: Lab, redis: BenchRedis, gateway: BenchGateway, seconds: int
) -> dict[str, Measure]:
    stored = _StoredSessions(redis, gateway)
    makes: Mapping[str, _Make] = {
        "login": lambda count, first: list(logins(count, first, gateway.basic)),
        "refresh": lambda count, first: _refreshes(stored.tokens(count, first, TokenType.REFRESH)),
        "logout": lambda count, first: _logouts(stored.tokens(count, first, TokenType.ACCESS)),
    }
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    variants = {
        kind: _EachOnce(made, gateway.port, parts, make, seconds, _PER_SECOND).measure
        for kind, make in makes.items()
    }
    token = bearer(gateway.login()["access"])
    variants[_LIMIT] = limit_checks(made, gateway, token, seconds)
    go = go_service(made)
    if go is not None:
        variants |= _go_variants(made, go, seconds)
    return variants


def _go_variants(made: Lab, go: GoService, seconds: int) -> dict[str, Measure]:
    def of_pairs(name: str, write: Callable[[list[str]], list[bytes]]) -> _Make:
        return lambda count, first: write([pair[name] for pair in go.login(count, first)])

    makes: Mapping[str, _Make] = {
        "login": lambda count, first: list(logins(count, first)),
        "refresh": of_pairs("refresh", _refreshes),
        "logout": of_pairs("access", _logouts),
    }
    return {
        go_name(kind): _EachOnce(made, go.port, go.parts, make, seconds, _GO_PER_SECOND).measure
        for kind, make in makes.items()
    }


class _EachOnce:
    """Rounds of requests that are sent once each, by subjects that no other round uses."""

    def __init__(
        self,
        made: Lab,
        port: int,
        parts: Mapping[str, Sequence[int]],
        make: _Make,
        seconds: int,
        per_second: int,
    ) -> None:
        self._file = made.directory("issue") / "requests"
        self._port, self._parts, self._make, self._seconds = port, parts, make, seconds
        self._count = per_second * seconds
        self._first = next(_FIRST)

    def measure(self) -> Sample:
        """Measure a round, and prepare fewer requests for the next if this needed fewer."""
        write_requests(self._file, self._make(self._count, self._first))
        self._first += self._count
        return sample(self._parts, self._load)

    def _load(self) -> WrkResult:
        result = load_each(self._port, self._file, self._seconds, once=self._count)
        self._count = min(self._count, 3 * result.requests // 2 + 1000)
        return result


# The first subject of each variant.
_FIRST: Iterator[int] = accumulate(repeat(10**9))


class _StoredSessions:
    """Sessions as after logins, in the gateway's Redis."""

    def __init__(self, redis: BenchRedis, gateway: BenchGateway) -> None:
        self._redis, self._keys = redis.client(), gateway.keys

    def tokens(self, count: int, first: int, kind: TokenType) -> list[str]:
        """Store new sessions and return a token of each."""
        sessions: list[Session] = list(new_sessions(count, first))
        put(self._redis, sessions)
        return tokens(self._keys, sessions, kind)


def _refreshes(minted: Sequence[str]) -> list[bytes]:
    bodies = (json.dumps({"refresh": token}).encode() for token in minted)
    return [request("POST", "/refresh", {}, body) for body in bodies]


def _logouts(minted: Sequence[str]) -> list[bytes]:
    return [request("POST", "/logout", bearer(token)) for token in minted]
