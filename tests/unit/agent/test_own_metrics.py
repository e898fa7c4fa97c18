"""What the agent tells of itself, as a Prometheus client reads it, and what it counts of its requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_agent import AMPHORA, FakeAgent
from support.own_metrics import LB, Fake

from agent.app import make_app
from agent.errors import RejectedByHaproxy, SystemFault


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def test_the_heartbeat(fake: Fake) -> None:
    found = fake.samples()
    assert found["hydria_agent_heartbeats_total"] == 7
    assert found["hydria_agent_heartbeats_silent_total"] == 5
    assert found["hydria_agent_heartbeat_silent"] == 0
    assert found["hydria_agent_heartbeats_oversize_total"] == 1
    assert found["hydria_agent_counters_unsaved"] == 1
    assert found['hydria_agent_heartbeat_datagrams_total{controller="192.0.2.1:5555"}'] == 9
    assert found['hydria_agent_heartbeat_failures_total{controller="192.0.2.1:5555"}'] == 2
    assert found['hydria_agent_heartbeat_failing{controller="192.0.2.1:5555"}'] == 1


def test_programs(fake: Fake) -> None:
    found = fake.samples()
    assert found['hydria_agent_program_running{program="haproxy-a"}'] == 1
    assert found['hydria_agent_program_running{program="haproxy-b"}'] == 0
    assert found['hydria_agent_program_restarts_total{program="haproxy-b"}'] == 3
    assert found[f'hydria_agent_haproxy_old_workers{{loadbalancer="{LB}"}}'] == 2
    assert found[f'hydria_agent_haproxy_old_connections{{loadbalancer="{LB}"}}'] == 5


def test_certificates(fake: Fake) -> None:
    place = fake.certificates / LB
    place.mkdir(parents=True)
    (place / "good.pem").write_bytes(fake.agent.files.server_pem.read_bytes())
    (place / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (place / "list.pem").write_text("no certificate\n")
    found = {name: value for name, value in fake.samples().items() if name.startswith("hydria_agent_certificate_days_left")}
    own = found['hydria_agent_certificate_days_left{loadbalancer="",name="certificate",of="agent"}']
    assert own > 0
    assert found[f'hydria_agent_certificate_days_left{{loadbalancer="{LB}",name="good",of="loadbalancer"}}'] == pytest.approx(own, abs=0.1)
    assert found[f'hydria_agent_certificate_days_left{{loadbalancer="{LB}",name="bad",of="loadbalancer"}}'] < 0
    assert len(found) == 4
    (place / "bad.pem").unlink()
    assert len([name for name in fake.samples() if name.startswith("hydria_agent_certificate_days_left")]) == 3


def test_certificates_that_came_with_a_graph(fake: Fake) -> None:
    serving = fake.certificates.parent / LB / "generations" / "3" / "certs"
    serving.mkdir(parents=True)
    (serving / "shop.pem").write_bytes(fake.agent.files.server_pem.read_bytes())
    (serving / "shop.crl.pem").write_text("no certificate\n")
    (fake.certificates.parent / LB / "loading").symlink_to("generations/3")
    found = {name: value for name, value in fake.samples().items() if name.startswith("hydria_agent_certificate_days_left")}
    own = found['hydria_agent_certificate_days_left{loadbalancer="",name="certificate",of="agent"}']
    assert found[f'hydria_agent_certificate_days_left{{loadbalancer="{LB}",name="shop",of="loadbalancer"}}'] == pytest.approx(own, abs=0.1)
    assert len(found) == 3


def test_udp_and_sctp_listeners_have_haproxys_names(fake: Fake) -> None:
    found = fake.samples()
    assert found['octavia_listener_bytes_in_total{listener="udp"}'] == 10
    assert found['octavia_listener_connections_total{listener="udp"}'] == 5
    assert found['octavia_listener_status{listener="udp",state="UP"}'] == 1
    assert found['octavia_member_status{member="one",pool="pool",state="UP"}'] == 1


def test_a_source_that_fails_takes_none_with_it(fake: Fake) -> None:
    fake.failure = SystemFault("no IPVS")
    found = fake.samples()
    assert found['hydria_agent_source_failed{source="lvs"}'] == 1
    assert found['hydria_agent_source_failed{source="programs"}'] == 0
    assert found["hydria_agent_heartbeats_total"] == 7


def test_the_agents_process_is_told_of(fake: Fake) -> None:
    found = fake.samples()
    assert found["process_resident_memory_bytes"] > 0
    assert any(name.startswith("hydria_agent_info{") and AMPHORA in name for name in found)


class TestRequests:
    def test_each_is_counted_by_what_it_was_and_what_came_of_it(self, fake: Fake) -> None:
        client = make_app(fake.agent.agent).test_client()
        client.get("/1.0/info")
        client.get("/1.0/nothing")
        client.put(f"/1.0/loadbalancer/{AMPHORA}/{LB}/haproxy", data=b"global\n")
        client.put(f"/1.0/loadbalancer/{LB}/reload")
        fake.agent.haproxies.failures["reload"] = RejectedByHaproxy("no", "line 1")
        client.put(f"/1.0/loadbalancer/{LB}/reload")
        client.put(f"/1.0/loadbalancer/{LB}/sing")
        for _ in range(3):
            fake.agent.tally.refused()
        found = fake.samples()
        assert found["hydria_agent_handshakes_refused_total"] == 3
        assert found['hydria_agent_requests_total{method="GET",route="/1.0/info",status="200"}'] == 1
        assert found['hydria_agent_requests_total{method="GET",route="other",status="404"}'] == 1
        assert found['hydria_agent_changes_total{change="loadbalancers.upload",outcome="done"}'] == 1
        assert found['hydria_agent_changes_total{change="loadbalancers.reload",outcome="done"}'] == 1
        assert found[f'hydria_agent_changes_total{{change="loadbalancers.reload",outcome="{RejectedByHaproxy.code}"}}'] == 1
        assert found['hydria_agent_change_duration_seconds_count{change="loadbalancers.reload"}'] == 2
        assert not any("sing" in name for name in found)

    def test_what_callers_make_up_makes_no_metrics(self, fake: Fake) -> None:
        client = make_app(fake.agent.agent).test_client()
        for number in range(50):
            client.get(f"/made/up/{number}")
            client.open(f"/1.0/loadbalancer/{LB}/{number}", method=f"M{number}")
            client.put(f"/1.0/loadbalancer/{LB}/{number}")
        assert len(fake.agent.tally.requests()) <= 4
        assert len(fake.agent.tally.changes()) <= 3


def test_the_routes(tmp_path: Path) -> None:
    client = make_app(FakeAgent(tmp_path).agent).test_client()
    metrics = client.get("/metrics")
    assert (metrics.status_code, metrics.data, metrics.mimetype) == (200, b"metric 1\n", "text/plain")
    statistics = client.get("/2.0/statistics").json
    assert statistics is not None
    assert statistics["problems"] == []
    assert [(row["kind"], row["id"], row["status"]) for row in statistics["rows"]] == [("listener", "web", "OPEN")]
