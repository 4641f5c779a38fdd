"""Counters and histograms of plain numbers, for what happens with every request.

Those of prometheus-client take a lock each time and look at each bucket. A single thread writes
here; the thread of the metrics server reads.
"""

import math
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from authgw.core.measurements import Labels


class PlainCounter(Collector):
    """A counter by the values of its labels."""

    def __init__(
        self, name: str, text: str, labels: Labels = (), registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: Tally[Labels] = Tally()
        if not labels:
            self.add(0)
        registry.register(self)

    def add(self, number: int, *values: str) -> None:
        """Add a number to the series with these values of the labels."""
        self._values[values] += number

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the current values."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, number in self._values.copy().items():
            family.add_metric(values, float(number))
        yield family


class PlainHistogram(Collector):
    """A histogram by the value of its only label; `bounds` are those of the buckets, ascending."""

    def __init__(
        self,
        name: str,
        text: str,
        label: str,
        bounds: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name, self._text, self._label = name, text, label
        self._bounds = (*bounds, math.inf)
        self._series: dict[str, _Series] = {}
        registry.register(self)

    def observe(self, value: str, amount: float) -> None:
        """Count an amount in the series with this value of the label."""
        series = self._series.get(value)
        if series is None:
            series = self._series[value] = _Series(len(self._bounds))
        series.counts[bisect_left(self._bounds, amount)] += 1
        series.total += amount

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the current values."""
        family = HistogramMetricFamily(self._name, self._text, labels=(self._label,))
        names = ["+Inf" if bound == math.inf else str(bound) for bound in self._bounds]
        for value, series in self._series.copy().items():
            sums = map(float, accumulate(series.counts))
            family.add_metric([value], list(zip(names, sums, strict=True)), series.total)
        yield family


class _Series:
    """Observations by bucket, and the sum of their amounts."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0
