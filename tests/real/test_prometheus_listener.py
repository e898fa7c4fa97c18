"""A PROMETHEUS listener of an amphora, as Octavia's controller configures one: through HAProxy, to the exporter, and back."""

from __future__ import annotations

import csv
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.polling import eventually
from support.programs import AMPHORA, Programs, amphora

from agent.amphora_additions import peer_name
from agent.metrics.exporters import Exporters
from agent.metrics.following import Following

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy

ROOT = Path(__file__).resolve().parents[2]
LB = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5e"
WEB = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e"
METRICS = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4f"
POOL, MEMBER = "3a1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d40", "3a1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d41"
NAMES = {
    row["octavia_metric"].rstrip("{") for row in csv.DictReader((ROOT / "tests/vectors/octavia_metric_names.csv").read_text().splitlines())
}

WITHOUT = f"""\
global
    maxconn 1000
defaults
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    mode http
peers {LB.replace("-", "")}_peers
    peer {peer_name(AMPHORA)} 127.0.0.1:1025
frontend {WEB}
    bind 127.0.0.1:8080
    default_backend {POOL}:{WEB}
backend {POOL}:{WEB}
    http-request return status 200 content-type text/plain string hello
    server {MEMBER} 127.0.0.1:1 weight 7
"""
WITH = (
    WITHOUT
    + f"""\
frontend prometheus-exporter-internal-endpoint
    bind 127.0.0.1:9101
    no log
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request reject
backend prometheus-exporter-internal
    no log
    balance first
    server prometheus-internal 127.0.0.1:9102
frontend {METRICS}
    bind 127.0.0.1:9090
    default_backend prometheus-exporter-internal
"""
)


@pytest.fixture
def programs(haproxy: Haproxy) -> Iterator[Programs]:
    with amphora(haproxy) as made:
        exporters = Exporters(made.namespace.name)
        made.haproxies.followers.append(Following(made.paths, made.services, made.haproxies.loadbalancers, exporters).follow)
        yield made
        exporters.close()


def serve(programs: Programs, text: str) -> None:
    programs.haproxies.upload(AMPHORA, LB, text.encode())
    programs.haproxies.reload(LB)


def curl(programs: Programs, place: str, *more: str) -> str:
    return programs.namespace.run("curl", "-sS", "--max-time", "10", *more, f"http://127.0.0.1:{place}")


def samples(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")}


def listens(programs: Programs) -> bool:
    return ":9102" in programs.namespace.run("ss", "-Hltn")


def test_all_of_octavias_metrics_and_no_other(programs: Programs) -> None:
    serve(programs, WITH)
    text = curl(programs, "9090/metrics")
    kinds = re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
    assert sorted(kinds) == sorted(NAMES | {"octavia_loadbalancer_cpu", "octavia_loadbalancer_memory"})
    assert kinds == re.findall(r"^# HELP (\S+) ", text, re.MULTILINE)
    assert {re.split("[{ ]", name)[0] for name in samples(text)} <= set(kinds)
    assert "haproxy" not in re.sub("^# HELP.*", "", text, flags=re.MULTILINE)
    assert "prometheus-exporter" not in text


def test_what_is_counted_is_told(programs: Programs) -> None:
    serve(programs, WITH)
    for _ in range(3):
        assert curl(programs, "8080/") == "hello"
    found = samples(curl(programs, "9090/metrics"))
    assert found[f'octavia_listener_http_requests_total{{listener="{WEB}"}}'] == 3
    assert found[f'octavia_pool_http_responses_total{{pool="{POOL}:{WEB}",code="2xx"}}'] == 3
    assert found[f'octavia_member_weight{{pool="{POOL}:{WEB}",member="{MEMBER}"}}'] == 7
    assert found[f'octavia_member_status{{pool="{POOL}:{WEB}",member="{MEMBER}",state="UP"}}'] == 1
    assert 0 < found["octavia_loadbalancer_memory"] < 100
    assert found["octavia_loadbalancer_cpu"] >= 0


def test_a_part_of_it(programs: Programs) -> None:
    serve(programs, WITH)
    text = curl(programs, "9090/metrics?scope=server")
    assert "octavia_member_weight{" in text
    assert "octavia_listener_status{" not in text


def test_nobody_listens_without_such_a_listener(programs: Programs) -> None:
    serve(programs, WITHOUT)
    assert not listens(programs)
    serve(programs, WITH)
    assert listens(programs)
    serve(programs, WITHOUT)
    assert not listens(programs)
    serve(programs, WITH)
    programs.haproxies.stop(LB)
    assert not listens(programs)
    programs.haproxies.start(LB)
    assert "octavia_loadbalancer_listeners " in curl(programs, "9090/metrics")
    programs.haproxies.delete(LB)
    assert not listens(programs)


def test_a_scrape_goes_on_through_a_reload(programs: Programs) -> None:
    serve(programs, WITH)
    with programs.namespace.entered():
        slow = subprocess.Popen(
            ["curl", "-sS", "--limit-rate", "20000", "http://127.0.0.1:9090/metrics"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    time.sleep(0.3)
    serve(programs, WITH.replace("weight 7", "weight 8"))
    out, err = slow.communicate(timeout=30)
    assert (slow.returncode, err) == (0, "")
    assert f'octavia_member_weight{{pool="{POOL}:{WEB}",member="{MEMBER}"}} 7' in out
    assert f'octavia_member_weight{{pool="{POOL}:{WEB}",member="{MEMBER}"}} 8' in curl(programs, "9090/metrics")


def test_whoever_has_the_port_already_is_no_reason_to_fail(programs: Programs) -> None:
    with programs.namespace.entered(), socket.create_server(("127.0.0.1", 9102)):
        serve(programs, WITH)
    assert curl(programs, "8080/") == "hello"
    # The next change finds it free.
    serve(programs, WITH)
    assert "octavia_loadbalancer_listeners " in curl(programs, "9090/metrics")


class TestBesideOctavias:
    """Octavia's own proxy, at another port of the same namespace, asks the same HAProxy."""

    PYTHON = ROOT / ".venv/octavia/bin/python"
    PROXY = "from octavia.cmd.prometheus_proxy import *; ThreadingHTTPServer(('127.0.0.1', 9103), PrometheusProxy).serve_forever()"

    def test_names_labels_and_types_are_the_same(self, programs: Programs) -> None:
        serve(programs, WITH)
        with programs.namespace.entered():
            theirs = subprocess.Popen([self.PYTHON, "-W", "ignore", "-c", self.PROXY], env=os.environ, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: ":9103" in programs.namespace.run("ss", "-Hltn"), "Octavia's proxy", 30)
            told = [curl(programs, place) for place in ("9103/metrics", "9102/metrics")]
        finally:
            theirs.kill()
            theirs.wait()
        assert set(samples(told[0])) == set(samples(told[1]))
        assert len({tuple(sorted(re.findall("^# TYPE .*", text, re.MULTILINE))) for text in told}) == 1
