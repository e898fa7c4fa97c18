"""A real agent is watched: its own metrics and statistics over mutual TLS, and its PROMETHEUS listener, before and after it was killed."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agents import BASE, AgentMachine, Cloud, Trust
from support.namespaces import Namespace
from support.polling import eventually

from agent.client import AgentClient

if TYPE_CHECKING:
    from collections.abc import Iterator

LB = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5e"
WEB, METRICS = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e", "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4f"
POOL, MEMBER = "3a1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d40", "3a1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d41"
TEXT = f"""\
global
    daemon
    user nobody
    stats socket {BASE}/{LB}.sock mode 0666 level user
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend prometheus-exporter-internal-endpoint
    bind 127.0.0.1:9101
    http-request use-service prometheus-exporter if {{ path /metrics }}
backend prometheus-exporter-internal
    server prometheus-internal 127.0.0.1:9102
frontend {METRICS}
    bind 127.0.0.1:9090
    default_backend prometheus-exporter-internal
frontend {WEB}
    bind 127.0.0.1:8080
    default_backend {POOL}:{WEB}
backend {POOL}:{WEB}
    http-request return status 200 content-type text/plain string hello
    server {MEMBER} 127.0.0.1:1
"""


class Site:
    """A machine with an agent, and a controller."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        trust = Trust()
        cloud = stack.enter_context(Cloud("management"))
        self.controller = stack.enter_context(Namespace("controller"))
        cloud.join("management", self.controller, "eth0", "198.51.100.1/24")
        self.amphora = stack.enter_context(AgentMachine(directory / "a", trust, "198.51.100.7"))
        cloud.join("management", self.amphora.machine, "eth0", "198.51.100.7/24")
        self.amphora.configure()
        self.amphora.start()
        ca, certificate = directory / "server_ca.pem", directory / "client.pem"
        ca.write_bytes(trust.agents.certificate_pem)
        certificate.write_bytes(trust.controller().bundle_pem)
        self.client = AgentClient("198.51.100.7", amphora_id=self.amphora.id, ca=ca, certificate=certificate)

    def own(self) -> str:
        status, text = self.amphora.get("/metrics")
        assert status == 200
        return text.decode()

    def listener(self) -> str:
        return self.amphora.traffic.run("curl", "-sS", "--max-time", "10", "http://127.0.0.1:9090/metrics")


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(stack, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydria-"))))


def test_an_agent_is_watched(site: Site) -> None:
    with site.controller.entered():
        site.client.upload_haproxy(LB, TEXT.encode())
        site.client.start(LB)
    assert site.amphora.traffic.run("curl", "-sS", "http://127.0.0.1:8080/") == "hello"
    own = site.own()
    assert f'hydria_agent_haproxy_serving{{loadbalancer="{LB}"}} 1.0' in own
    assert f'hydria_agent_program_running{{program="haproxy-{LB}"}} 1.0' in own
    assert 'hydria_agent_changes_total{change="loadbalancers.start",outcome="done"} 1.0' in own
    assert "hydria_agent_heartbeat_silent 1.0" in own, "there is no controller to be told"
    assert 'hydria_agent_source_failed{source="lvs"} 0.0' in own
    assert "} 1.0" not in "".join(line for line in own.splitlines() if line.startswith("hydria_agent_source_failed"))
    with site.controller.entered():
        told = site.client.statistics()
    assert told.problems == []
    assert [(row.kind, row.loadbalancer, row.id) for row in told.rows if row.listener == WEB] == [
        ("listener", LB, WEB),
        ("pool", LB, POOL),
        ("member", LB, MEMBER),
    ]
    assert next(row for row in told.rows if row.id == WEB).requests == 1
    assert f'octavia_listener_http_requests_total{{listener="{WEB}"}} 1\n' in site.listener()
    site.amphora.kill()
    assert site.listener() != "", "HAProxy says that there is nobody"
    site.amphora.start()
    eventually(lambda: "octavia_listener_status" in site.listener(), "metrics from the next agent", 20)
