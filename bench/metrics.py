"""Cost of metrics for a check: a gateway with metrics compared with a gateway without."""

from bench.gateways import bearer, lab
from bench.hot import hot_checks
from bench.measure import in_turn, ratio, table
from bench.outcome import Benchmark, Outcome

# They differ by a few additions, a hundredth of the noise of a round.
_ROUNDS = 21
_COUNTED, _UNCOUNTED = "hot, with metrics", "hot, without metrics"


def measure(quick: bool) -> Outcome:
    """Compare two gateways with the same history, on an otherwise idle Redis."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        fleet = made.fleet(redis.url)
        variants = {}
        for name, counted in ((_COUNTED, True), (_UNCOUNTED, False)):
            twin = fleet.replica(counted=counted)
            variants[name] = hot_checks(redis, twin, bearer(twin.login()["access"]), seconds)
        samples = in_turn(variants, _ROUNDS)
    cost = ratio(samples[_COUNTED], samples[_UNCOUNTED])
    shown = table("Metrics", samples, ("gateway", "redis"))
    return Outcome({"cost": cost}, (shown,), (f"Medians of {_ROUNDS} rounds of {seconds} s.",))


BENCHMARK = Benchmark("metrics", "What counting for Prometheus costs a check.", measure)
