"""Repeated checks of the same session, the gateway's most frequent work."""

from collections.abc import Mapping
from functools import partial

from bench.gateways import ORIGINAL, BenchGateway, BenchRedis
from bench.measure import Measure, sample
from bench.wrk import load

PATH = "/authenticate"


def hot_checks(
    redis: BenchRedis, gateway: BenchGateway, token: Mapping[str, str], seconds: int
) -> Measure:
    """Return the measurement of a round of such checks; `token` is the Authorization header."""
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    return partial(sample, parts, partial(load, gateway.port, PATH, {**ORIGINAL, **token}, seconds))
