"""The dashboard and the alerts of docs/monitoring ask for nothing but what is really served: by HAProxy's listener, and by the agent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.graphs import listener
from support.own_metrics import Fake
from support.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy

PLACE = Path(__file__).resolve().parents[2] / "docs" / "monitoring"
DASHBOARD = json.loads((PLACE / "dashboard.json").read_text())
ALERTS = yaml.safe_load((PLACE / "alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]

#: A metric and what is in its braces.
METRIC = re.compile(r"\b((?:octavia|hydria|process)_\w+)(?:\{([^}]*)\})?")


def named(text: str) -> set[str]:
    return {match[1] for match in METRIC.finditer(text)}


def samples(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels


@pytest.fixture
def served(haproxy: Haproxy, tmp_path: Path) -> list[tuple[str, dict[str, str]]]:
    """Each sample of a load balancer with a listener of HTTP, and of an agent that has done something."""
    pool: Any = {
        "name": "pool",
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "members": [{"address": "127.0.0.1", "protocol_port": 9}],
    }
    with serve(haproxy, [listener("metrics", None, protocol="PROMETHEUS"), listener("web", "pool", protocol="HTTP")], [pool]) as serving:
        text = serving.fetch("metrics", "/metrics").body.decode()
    fake = Fake(tmp_path)
    fake.do_something()
    return [*samples(text), *samples(fake.metrics.text().decode())]


def test_every_metric_is_served_with_the_labels_that_are_asked_for(served: list[tuple[str, dict[str, str]]]) -> None:
    labels: dict[str, set[str]] = {}
    for name, found in served:
        labels.setdefault(name, set()).update(found)
    for expression in EXPRESSIONS:
        for metric, matchers in METRIC.findall(expression):
            assert metric in labels, expression
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) - {"instance"}
            assert asked <= labels[metric], expression


def test_what_is_told_of_an_alert_is_a_label_of_its_metrics(served: list[tuple[str, dict[str, str]]]) -> None:
    for rule in RULES:
        wanted = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        labels = [set(found) for name, found in served if name in named(rule["expr"])]
        assert any(wanted <= found for found in labels), rule["alert"]


def test_each_rule_says_what_it_is_about() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert named(rule["expr"]), rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".") or "." in rule["annotations"]["summary"]


def test_panels_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        taken = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= taken
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
