"""Metrics: name, labels, kind and help text of each, from the parts that report them."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from prometheus_client import REGISTRY, Info
from prometheus_client.metrics import MetricWrapperBase

import authgw
from authgw.observability.collectors import PlainCounter, PlainHistogram
from tools.reference.markdown import code, sentence, table, with_identifiers

_PACKAGE = Path(authgw.__file__).parent
_SUFFIXES = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True, slots=True)
class MetricDescription:
    """A metric: its name without suffix, the names of its labels, and its help text."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def described_metrics() -> list[MetricDescription]:
    """Return the metrics of all parts of authgw, sorted by name."""
    # The import of a part registers the metrics that prometheus-client keeps.
    parts = list(_measured_parts())
    described = [*_registered(), *(each for part in parts for each in _reported(part))]
    ours = {each.name: each for each in described if each.name.startswith("authgw_")}
    return [each for _, each in sorted(ours.items())]


def metrics() -> str:
    """Return a table of all metrics."""
    rows = [
        (
            code(f"{each.name}{_SUFFIXES.get(each.kind, '')}"),
            ", ".join(map(code, each.labels)),
            each.kind,
            with_identifiers(sentence(each.help)),
        )
        for each in described_metrics()
    ]
    return table(("metric", "labels", "type", "meaning"), rows)


def _registered() -> Iterator[MetricDescription]:
    for collector in list(REGISTRY._collector_to_names):
        if isinstance(collector, MetricWrapperBase):
            kind, text = collector._type or "", collector._documentation
            yield MetricDescription(collector._name, kind, _labels(collector), text)
        elif isinstance(collector, PlainCounter | PlainHistogram):
            for family in collector.collect():
                labels = tuple(family._labelnames)
                yield MetricDescription(family.name, family.type, labels, family.documentation)


def _labels(metric: MetricWrapperBase) -> tuple[str, ...]:
    """Return the labels of a metric; those of an Info are the keys of its value."""
    return tuple(metric._value) if isinstance(metric, Info) else tuple(metric._labelnames)


def _measured_parts() -> Iterator[Any]:
    """Yield the classes of authgw that report metrics of their own."""
    for path in sorted(_PACKAGE.rglob("*.py")):
        if "def collect(self) -> Iterator[Measurement]" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
            for kind in vars(importlib.import_module(name)).values():
                if getattr(kind, "__module__", "") == name and hasattr(kind, "collect"):
                    yield kind


def _reported(part: Any) -> Iterator[MetricDescription]:
    # Names and texts are constants; the values of the mock are not read.
    for each in part.collect(MagicMock()):
        yield MetricDescription(each.name, each.kind, tuple(each.labels), each.help)
