"""The metrics' names and labels are Octavia's, all of them, and no other."""

from __future__ import annotations

import csv
from pathlib import Path

import agent.metrics
from agent.metrics.names import families

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "octavia_metric_names.csv"


def test_the_table_is_octavias() -> None:
    assert Path(agent.metrics.__file__).with_name("names.csv").read_bytes() == VECTORS.read_bytes()


def test_each_metric_is_a_family_with_the_labels_of_the_table() -> None:
    rows = list(csv.DictReader(VECTORS.read_text().splitlines()))
    assert {family.name.decode() for family in families().values()} == {row["octavia_metric"].rstrip("{") for row in rows}
    for row in rows:
        if row["haproxy_metric"].endswith("{"):
            family = families()[row["haproxy_metric"].rstrip("{").encode()]
            assert family.name == row["octavia_metric"].rstrip("{").encode()
            assert " ".join(f"{old.decode()}->{new.decode()}" for old, new in family.labels) == row["label_changes"].replace("=", '="')


def test_help_is_in_octavias_words() -> None:
    family = families()[b"haproxy_backend_connection_errors_total"]
    said = family.help("Total number of failed connections to server since the worker process started")
    assert said == b"Total number of failed connections to member since the load balancer started"
    assert families()[b"haproxy_frontend_limit_sessions"].help("Frontend/listener/server's maxconn, backend's fullconn") == (
        b"Listener/member's maxconn, pool's fullconn"
    )
    assert b"state" in families()[b"haproxy_server_status"].help("whatever")
