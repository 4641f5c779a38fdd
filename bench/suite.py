"""The benchmarks by name, in the order in which `all` runs them."""

from bench import authenticate, chain, rules
from bench.outcome import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    authenticate.BENCHMARK,
    chain.BENCHMARK,
    rules.BENCHMARK,
)
