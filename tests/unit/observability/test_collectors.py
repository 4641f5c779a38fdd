"""Counters and histograms of plain numbers, whose output is that of prometheus-client."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from authgw.observability import metrics
from authgw.observability.collectors import PlainCounter, PlainHistogram

BOUNDS = (0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1, 0.5, 1.0, 2.5)
_AMOUNTS = st.one_of(st.sampled_from((0.0, *BOUNDS)), st.floats(0, 5))
_OBSERVATIONS = st.lists(st.tuples(st.sampled_from(("add", 'a"b\\', "read")), _AMOUNTS))


@pytest.fixture(scope="module", autouse=True)
def _without_creation_times() -> Iterator[None]:
    # As metrics_server sets it for the whole process.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prometheus_client.metrics._use_created", False)
        yield


def text(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


@given(_OBSERVATIONS)
def test_a_histogram_is_written_as_by_prometheus_client(seen: list[tuple[str, float]]) -> None:
    plain, reference = CollectorRegistry(), CollectorRegistry()
    own = PlainHistogram("x_seconds", "What it took", "operation", BOUNDS, plain)
    theirs = Histogram(
        "x_seconds", "What it took", ["operation"], buckets=BOUNDS, registry=reference
    )
    for operation, amount in seen:
        own.observe(operation, amount)
        theirs.labels(operation).observe(amount)
    assert text(plain) == text(reference)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3))))
def test_a_counter_is_written_as_by_prometheus_client(seen: list[tuple[str, int]]) -> None:
    plain, reference = CollectorRegistry(), CollectorRegistry()
    own = PlainCounter("x", "Things", ("kind",), plain), PlainCounter("y", "All", (), plain)
    theirs = (
        Counter("x", "Things", ["kind"], registry=reference),
        Counter("y", "All", registry=reference),
    )
    for kind, number in seen:
        own[0].add(number, kind)
        theirs[0].labels(kind).inc(number)
        own[1].add(number)
        theirs[1].inc(number)
    assert text(plain) == text(reference)


@pytest.mark.parametrize(
    ("histogram", "bounds"),
    [
        (
            metrics.STORE_SECONDS,
            "0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 +Inf",
        ),
        (
            metrics.REQUEST_SECONDS,
            "0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 +Inf",
        ),
    ],
)
def test_bounds_of_buckets_are_kept(histogram: PlainHistogram, bounds: str) -> None:
    histogram.observe("read", 0.1)
    (family,) = histogram.collect()
    samples = [sample for sample in family.samples if "read" in sample.labels.values()]
    found = [sample.labels["le"] for sample in samples if "le" in sample.labels]
    assert found == bounds.split()
