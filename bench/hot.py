"""Repeated checks of the same session, and the limit for Python, the unit of other costs."""

from collections.abc import Mapping
from functools import partial

from bench.gateways import ORIGINAL, BenchGateway, BenchRedis, Lab, loop_of
from bench.measure import Measure, sample
from bench.wrk import load

PATH = "/authenticate"


def hot_checks(
    redis: BenchRedis, gateway: BenchGateway, token: Mapping[str, str], seconds: int
) -> Measure:
    """Return the measurement of a round of such checks; `token` is the Authorization header."""
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    return partial(sample, parts, partial(load, gateway.port, PATH, {**ORIGINAL, **token}, seconds))


def limit_checks(
    made: Lab, gateway: BenchGateway, token: Mapping[str, str], seconds: int
) -> Measure:
    """Return the measurement of a round of such checks by a server of minimal cost in Python.

    It parses each request with httptools and sends the bytes of the gateway's response.
    """
    headers = {**ORIGINAL, **token}
    response = gateway.response_to(headers)
    port, pid = made.imitation("httptools", response, loop_of(gateway) == "uvloop")
    return partial(sample, {"server": [pid]}, partial(load, port, PATH, headers, seconds))
