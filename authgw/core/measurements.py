"""Values that parts of a replica report as metrics, independent of the metrics library."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A metric with its current values, by the values of its labels."""

    kind: Literal["counter", "gauge"]
    name: str
    help: str
    labels: Labels
    values: Mapping[Labels, float]


class MeasuredPart(Protocol):
    """A part that reports its own metrics."""

    def collect(self) -> Iterable[Measurement]:
        """Yield the current values; called on the thread of the metrics server."""


def counter(name: str, text: str, value: float) -> Measurement:
    """Return a counter without labels; `text` is its help text."""
    return Measurement("counter", name, text, (), {(): value})


def labelled_counter(
    name: str, text: str, labels: Labels, values: Mapping[Labels, float]
) -> Measurement:
    """Return a counter by the values of its labels; `text` is its help text."""
    return Measurement("counter", name, text, labels, values)


def gauge(name: str, text: str, value: float) -> Measurement:
    """Return a gauge without labels; `text` is its help text."""
    return Measurement("gauge", name, text, (), {(): value})
