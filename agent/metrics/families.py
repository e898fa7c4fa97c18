"""Metrics of prometheus-client, each made in one go of a name, a sentence, values by labels and the labels' names."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Metric

#: The values of labels, in the order of their names.
Labels = TypeVar("Labels", bound=tuple[str, ...])


def gauge(name: str, says: str, values: Mapping[Labels, float], *labels: str) -> Metric:
    """What goes up and down."""
    from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415 - see `OwnMetrics.text`

    found = GaugeMetricFamily(name, says, labels=labels)
    for given, value in values.items():
        found.add_metric(given, value)
    return found


def counter(name: str, says: str, values: Mapping[Labels, float], *labels: str) -> Metric:
    """What only grows; `_total` is added to its name."""
    from prometheus_client.metrics_core import CounterMetricFamily  # noqa: PLC0415 - see `OwnMetrics.text`

    found = CounterMetricFamily(name, says, labels=labels)
    for given, value in values.items():
        found.add_metric(given, value)
    return found


def summary(name: str, says: str, values: Mapping[Labels, tuple[int, float]], *labels: str) -> Metric:
    """How often something was, and how much it was in all: `_count` and `_sum`."""
    from prometheus_client.metrics_core import SummaryMetricFamily  # noqa: PLC0415 - see `OwnMetrics.text`

    found = SummaryMetricFamily(name, says, labels=labels)
    for given, (times, amount) in values.items():
        found.add_metric(given, times, amount)
    return found
