"""Where the metrics of a HAProxy are, as configurations say it."""

from __future__ import annotations

import pytest

from agent.metrics.places import Place, places

OCTAVIA = b"""\
global
    maxconn 1000

frontend prometheus-exporter-internal-endpoint
    bind 127.0.0.1:9101
    mode http
    no log
    http-request use-service prometheus-exporter if { path /metrics }
    timeout client 5s
backend prometheus-exporter-internal
    mode http
    balance first
    timeout server 5s
    server prometheus-internal 127.0.0.1:9102

frontend 0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4f
    bind 192.0.2.1:9090
    default_backend prometheus-exporter-internal
"""


def test_octavias() -> None:
    assert places(OCTAVIA) == (Place("127.0.0.1", 9101), Place("127.0.0.1", 9102))


def test_sockets() -> None:
    text = OCTAVIA.replace(b"127.0.0.1:9101", b"unix@/run/hydria/lb.raw mode 600").replace(b"127.0.0.1:9102", b"unix@/run/hydria/lb.prom")
    assert places(text) == (Place("/run/hydria/lb.raw"), Place("/run/hydria/lb.prom"))


def test_none_without_such_a_listener() -> None:
    assert places(b"frontend web\n    bind 127.0.0.1:9101\nbackend pool\n    server one 127.0.0.1:9102\n") is None


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (b"127.0.0.1:9102", b"192.0.2.1:9102"),
        (b"127.0.0.1:9102", b"localhost:9102"),
        (b"127.0.0.1:9102", b"127.0.0.1:99999"),
        (b"127.0.0.1:9102", b"127.0.0.1"),
        (b"127.0.0.1:9102", b"unix@relative"),
        (b"127.0.0.1:9101", b"0.0.0.0:9101"),
        (b"    server prometheus-internal 127.0.0.1:9102\n", b""),
        (b"    bind 127.0.0.1:9101\n", b""),
    ],
)
def test_nowhere_but_on_the_machine_itself(was: bytes, now: bytes) -> None:
    assert places(OCTAVIA.replace(was, now)) is None


def test_another_sections_lines_are_not_taken() -> None:
    text = OCTAVIA.replace(b"    server prometheus-internal 127.0.0.1:9102\n", b"") + b"backend other\n    server one 127.0.0.1:1\n"
    assert places(text) is None
