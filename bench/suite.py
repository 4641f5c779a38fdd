"""The benchmarks by name, in the order in which `all` runs them."""

from bench import (
    authenticate,
    browse,
    chain,
    cold,
    denials,
    flow,
    idle,
    issue,
    login,
    memory,
    metrics,
    providers,
    random_checks,
    revoke,
    rules,
    scale,
)
from bench.outcome import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    authenticate.BENCHMARK,
    random_checks.BENCHMARK,
    browse.BENCHMARK,
    cold.BENCHMARK,
    denials.BENCHMARK,
    metrics.BENCHMARK,
    chain.BENCHMARK,
    issue.BENCHMARK,
    login.BENCHMARK,
    providers.BENCHMARK,
    flow.BENCHMARK,
    rules.BENCHMARK,
    revoke.BENCHMARK,
    memory.BENCHMARK,
    idle.BENCHMARK,
    scale.BENCHMARK,
)
