"""Cost of protection for a whole chain: NGINX, the gateway and an app."""

from collections.abc import Sequence
from functools import partial

from bench.gateways import (
    ORIGINAL,
    BenchGateway,
    Lab,
    bearer,
    has_socket,
    lab,
    loop_of,
)
from bench.http import Address
from bench.measure import ROUNDS, Measure, Sample, in_turn, ratio, sample, table
from bench.nginx import HOST, has_cache
from bench.outcome import Benchmark, Outcome
from bench.processes import family
from bench.wrk import load

_CHAIN = ("nginx", "gateway", "app")


def measure(quick: bool) -> Outcome:
    """Compare an unprotected app with a protected app, for each transport to the gateway."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        fleet = made.fleet(redis.url)
        gateway = fleet.replica()
        token = gateway.login()["access"]
        app, app_pid = made.app()
        site = _Site(made, redis.pid, app, app_pid, token, seconds)
        variants = _variants(site, gateway, fleet.replica(socket=True) if has_socket() else None)
        samples = in_turn(variants)
        loop = loop_of(gateway)
    figures = {name: _share(samples, name) for name in ("tcp", "unix", "cached")}
    shown = {name: samples.get(name) for name in _NAMES}
    ratios = ", ".join(f"{name} {_share(samples, name) or 0:.3f}" for name in list(samples)[1:])
    notes = (
        f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections; the gateway runs {loop}.",
        f"Unprotected / protected CPU of NGINX, gateway and app: {ratios}.",
    )
    figures["floor"] = _share(samples, "instant")
    return Outcome(figures, (table("The chain", shown, (*_CHAIN, "redis")),), notes)


BENCHMARK = Benchmark("chain", "What protection costs NGINX, gateway and app together.", measure)
_NAMES = ("unprotected", "tcp", "unix", "cached", "instant")


class _Site:
    """The same app behind a separate NGINX for each variant."""

    def __init__(
        self, made: Lab, redis: int, app: int, app_pid: int, token: str, seconds: int
    ) -> None:
        self.lab = made
        self._redis, self._app, self._app_pid = redis, app, app_pid
        self.token = bearer(token)
        self._seconds = seconds

    def behind(
        self,
        gateways: Sequence[Address],
        pids: Sequence[int],
        *,
        protected: bool = True,
        cached: bool = False,
    ) -> Measure:
        """Return the measurement of an NGINX, with these gateways if `protected`."""
        port, front = self.lab.front(gateways, self._app, protected=protected, cached=cached)
        parts = {
            "nginx": family(front),
            "gateway": pids,
            "app": family(self._app_pid),
            "redis": (self._redis,),
        }
        return partial(
            sample,
            parts,
            partial(load, port, "/page?a=b", {"Host": HOST, **self.token}, self._seconds),
        )


def _variants(
    site: _Site, gateway: BenchGateway, by_socket: BenchGateway | None
) -> dict[str, Measure]:
    variants = {
        "unprotected": site.behind([gateway.address], [], protected=False),
        "tcp": site.behind([gateway.address], [gateway.pid]),
    }
    if by_socket is not None:
        variants["unix"] = site.behind([by_socket.address], [by_socket.pid])
    if has_cache():
        variants["cached"] = site.behind([gateway.address], [gateway.pid], cached=True)
    response = gateway.response_to({**ORIGINAL, **site.token})
    port, pid = site.lab.imitation("httptools", response, loop_of(gateway) == "uvloop")
    variants["instant"] = site.behind([port], [pid])
    return variants


def _share(samples: dict[str, list[Sample]], name: str) -> float | None:
    if name not in samples:
        return None
    return ratio(samples["unprotected"], samples[name], lambda entry: entry.of(*_CHAIN))
