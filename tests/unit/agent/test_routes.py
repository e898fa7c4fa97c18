"""The 1.0 contract over HTTP: methods, statuses, bodies and headers of every route."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fake_agent import AMPHORA, FakeAgent, pem

from agent.app import make_app
from agent.errors import ConflictError, InterfaceNotReady, ProgramMissing, RejectedByHaproxy
from agent.settings import Settings

LB = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"
LISTENER = "0a3d5f6e-7f7c-4f0f-8a5e-1f2b3c4d5e6f"
MD5 = hashlib.md5
MAC = "fa:16:3e:00:00:01"


@pytest.fixture
def fake(tmp_path: Path) -> FakeAgent:
    return FakeAgent(tmp_path)


@pytest.fixture
def client(fake: FakeAgent) -> FlaskClient:
    return make_app(fake.agent).test_client()


@pytest.mark.parametrize("path", ["/", "//"])
def test_discovery(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json) == (200, {"api_version": "1.0"})


def test_info_is_the_machines(client: FlaskClient) -> None:
    assert client.get("/1.0/info").json == {"hostname": "amphora", "haproxy_version": "2.6.12"}


def test_details_join_what_all_know(client: FlaskClient, fake: FakeAgent) -> None:
    fake.haproxies.texts[LB] = b""
    fake.lvs.texts[LISTENER] = b""
    answer = client.get("/1.0/details")
    assert answer.status_code == 200
    assert answer.json == {
        "hostname": "amphora",
        "haproxy_version": "2.6.12",
        "cpu_count": 2,
        "load": ["0.1", "0.2", "0.3"],
        "networks": {"eth1": {"network_tx": 10, "network_rx": 20}},
        "active": True,
        "haproxy_count": 1,
        "lvs_listener_process_count": 1,
        "topology": "SINGLE",
        "topology_status": "OK",
        "listeners": sorted([LB, LISTENER]),
        "packages": {},
    }


def test_listeners_are_those_of_both_kinds(client: FlaskClient, fake: FakeAgent) -> None:
    assert client.get("/1.0/listeners").json == []
    fake.haproxies.texts[LB] = b""
    fake.lvs.texts[LISTENER] = b""
    assert client.get("/1.0/listeners").json == [
        {"status": "ACTIVE", "uuid": LB, "type": "HTTP"},
        {"status": "ACTIVE", "uuid": LISTENER, "type": "UDP"},
    ]


def test_a_certificate_comes_is_compared_and_goes(client: FlaskClient, fake: FakeAgent) -> None:
    path = f"/1.0/loadbalancer/{LB}/certificates/x.pem"
    tag = MD5(b"secret").hexdigest()
    assert client.get(path).status_code == 404
    answer = client.put(path, data=b"secret")
    assert (answer.status_code, answer.json, answer.headers["ETag"]) == (200, {"message": "OK"}, tag)
    assert fake.certificates.files == {(LB, "x.pem"): b"secret"}
    answer = client.get(path)
    assert (answer.status_code, answer.json, answer.headers["ETag"]) == (200, {"md5sum": tag}, tag)
    for _ in range(2):
        answer = client.delete(path)
        assert (answer.status_code, answer.json) == (200, {"message": "OK"})


def test_a_configuration_comes_and_is_shown(client: FlaskClient, fake: FakeAgent) -> None:
    text = "global\n# Größe\n".encode()
    answer = client.put(f"/1.0/loadbalancer/{AMPHORA}/{LB.upper()}/haproxy", data=text)
    assert (answer.status_code, answer.json, answer.headers["ETag"]) == (202, {"message": "OK"}, MD5(text).hexdigest())
    assert fake.haproxies.calls == [("upload", AMPHORA, LB, text)]
    answer = client.get(f"/1.0/loadbalancer/{LB}/haproxy")
    assert (answer.status_code, answer.data, answer.mimetype) == (200, text, "text/plain")
    assert answer.headers["ETag"] == MD5(text).hexdigest()


def test_what_haproxy_says_about_a_configuration_is_in_the_details(client: FlaskClient, fake: FakeAgent) -> None:
    fake.haproxies.failures["upload"] = RejectedByHaproxy("the configuration is refused", "[ALERT] unknown keyword 'x'")
    answer = client.put(f"/1.0/loadbalancer/{AMPHORA}/{LB}/haproxy", data=b"x")
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["message"] == "Invalid request"
    assert "[ALERT] unknown keyword 'x'" in answer.json["details"]


@pytest.mark.parametrize("action", ["start", "stop", "reload"])
def test_actions_go_to_who_has_the_id(client: FlaskClient, fake: FakeAgent, action: str) -> None:
    fake.haproxies.texts[LB] = b""
    fake.lvs.texts[LISTENER] = b""
    for identifier, service in ((LB, fake.haproxies), (LISTENER, fake.lvs)):
        answer = client.put(f"/1.0/loadbalancer/{identifier}/{action}")
        assert (answer.status_code, answer.json) == (202, {"message": "OK", "details": f"{action}: done"})
        assert service.calls == [(action, identifier)]


def test_an_action_on_what_is_not_there(client: FlaskClient) -> None:
    answer = client.put(f"/1.0/loadbalancer/{LB}/start")
    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["message"] == "Not found"


@pytest.mark.parametrize("path", [f"loadbalancer/{LB}/explode", "vrrp/explode", f"loadbalancer/{LB}/haproxy"])
def test_an_action_that_there_is_not(client: FlaskClient, path: str) -> None:
    answer = client.put(f"/1.0/{path}")
    assert answer.status_code == 400
    assert answer.json is not None
    assert "start, stop, reload" in answer.json["details"]


def test_deleting_is_for_both_kinds_and_for_what_is_not_there(client: FlaskClient, fake: FakeAgent) -> None:
    fake.haproxies.texts[LB] = b""
    fake.lvs.texts[LISTENER] = b""
    for identifier in (LB, LISTENER, AMPHORA):
        answer = client.delete(f"/1.0/listeners/{identifier}")
        assert (answer.status_code, answer.json) == (200, {"message": "OK"})
    assert fake.haproxies.texts == fake.lvs.texts == {}


def test_a_udp_listener_comes_and_is_shown(client: FlaskClient, fake: FakeAgent) -> None:
    answer = client.put(f"/1.0/listeners/{AMPHORA}/{LISTENER}/udp_listener", data=b"virtual_server")
    assert (answer.status_code, answer.json, answer.headers["ETag"]) == (200, {"message": "OK"}, MD5(b"virtual_server").hexdigest())
    assert fake.lvs.calls == [("upload", LISTENER, b"virtual_server")]
    answer = client.get(f"/1.0/listeners/{LISTENER}/udp_listener")
    assert (answer.status_code, answer.data, answer.mimetype) == (200, b"virtual_server", "text/plain")
    assert client.get(f"/1.0/listeners/{LB}/udp_listener").status_code == 404


def test_vrrp(client: FlaskClient, fake: FakeAgent) -> None:
    answer = client.put("/1.0/vrrp/upload", data=b"vrrp_instance")
    assert (answer.status_code, answer.json, answer.headers["ETag"]) == (200, {"message": "OK"}, MD5(b"vrrp_instance").hexdigest())
    for action in ("start", "reload", "stop"):
        answer = client.put(f"/1.0/vrrp/{action}")
        assert (answer.status_code, answer.json) == (202, {"message": "OK", "details": f"{action}: done"})
    assert fake.vrrp.calls == [("upload", b"vrrp_instance"), ("start",), ("reload",), ("stop",)]


VIP: dict[str, Any] = {"subnet_cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "mac_address": MAC, "unknown": 1}


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_plugging_a_vip(client: FlaskClient, fake: FakeAgent, headers: dict[str, str]) -> None:
    answer = client.post("/1.0/plug/vip/192.0.2.10", data=client.application.json.dumps(VIP), headers=headers)
    assert (answer.status_code, answer.json) == (202, {"message": "OK", "details": "plug_vip: done"})
    [(_, plan, active_standby)] = fake.network.calls
    assert plan.vip.addresses[0].ip_address == "192.0.2.10"
    assert active_standby is False


def test_plugging_a_network_twice(client: FlaskClient, fake: FakeAgent) -> None:
    for _ in range(2):
        answer = client.post("/1.0/plug/network", json={"mac_address": MAC})
        assert (answer.status_code, answer.json) == (202, {"message": "OK", "details": "plug_network: done"})
    assert len(fake.network.calls) == 2


def test_a_vip_that_is_plugged_already(client: FlaskClient, fake: FakeAgent) -> None:
    fake.network.failures["plug_vip"] = ConflictError("it is there")
    assert client.post("/1.0/plug/vip/192.0.2.10", json=VIP).status_code == 409


def test_an_interface_that_is_not_there_yet_makes_a_controller_ask_again(client: FlaskClient, fake: FakeAgent) -> None:
    fake.network.failures["plug_vip"] = InterfaceNotReady("No suitable network interface found")
    answer = client.post("/1.0/plug/vip/192.0.2.10", json=VIP)
    assert (answer.status_code, answer.mimetype) == (404, "application/json")
    assert answer.json is not None
    assert "No suitable network interface found" in answer.json["details"]


def test_the_topology_in_force_counts(client: FlaskClient, fake: FakeAgent) -> None:
    text = fake.files.text() + "[controller_worker]\nloadbalancer_topology = ACTIVE_STANDBY\n"
    assert client.put("/1.0/config", data=text).status_code == 202
    client.post("/1.0/plug/network", json={"mac_address": MAC})
    assert fake.network.calls[0][2] is True
    answer = client.get("/1.0/details").json
    assert answer is not None
    assert answer["topology"] == "ACTIVE_STANDBY"


def test_whose_an_address_is(client: FlaskClient) -> None:
    assert client.get("/1.0/interface/192.0.2.10").json == {"message": "OK", "interface": "eth1"}
    assert client.get("/1.0/interface/192.0.2.11").status_code == 404
    assert client.get("/1.0/interface/nowhere").status_code == 400


def test_rules(client: FlaskClient, fake: FakeAgent) -> None:
    path = "/1.0/interface/192.0.2.10/rules"
    answer = client.put(path, json=[{"protocol": "TCP", "cidr": None, "port": 80}])
    assert (answer.status_code, answer.json) == (200, {"message": "OK"})
    assert fake.network.calls[-1][:2] == ("set_rules", "eth1")
    assert client.put(path, json=[{"protocol": "TCP", "cidr": None, "port": 80, "more": 1}]).status_code == 400
    assert client.put("/1.0/interface/192.0.2.11/rules", json=[]).status_code == 404


def test_settings_are_followed_at_once(client: FlaskClient, fake: FakeAgent) -> None:
    followed: list[int] = []
    fake.settings.followers.append(lambda settings: followed.append(settings.heartbeat_interval))
    text = fake.files.text() + "[health_manager]\nheartbeat_interval = 3\n"
    answer = client.put("/1.0/config", data=text)
    assert (answer.status_code, answer.json) == (202, {"message": "OK"})
    assert followed == [3]
    assert fake.files.conf.read_text() == text


def test_settings_that_somebody_cannot_follow_are_in_force_all_the_same(client: FlaskClient, fake: FakeAgent) -> None:
    def lost(_: Settings) -> None:
        raise ValueError("lost")

    fake.settings.followers.append(lost)
    text = fake.files.text() + "[health_manager]\nheartbeat_interval = 3\n"
    answer = client.put("/1.0/config", data=text)
    assert (answer.status_code, answer.json) == (
        202,
        {"message": "OK", "details": "the settings are in force, but not followed everywhere: lost"},
    )
    assert (fake.files.conf.read_text(), fake.settings.current.heartbeat_interval) == (text, 3)


@pytest.mark.parametrize(
    "text",
    [
        "no section = 1",
        "[health_manager]\nheartbeat_interval = -1",
        "[amphora_agent]\nagent_server_ca = /nowhere\n",
        "\xff[",
        "[amphora_agent]\namphora_id = another\n",
    ],
)
def test_settings_that_the_agent_could_not_live_with_change_nothing(client: FlaskClient, fake: FakeAgent, text: str) -> None:
    before = fake.files.conf.read_text()
    if text.startswith("[amphora_agent]\nam"):
        text = fake.files.text(amphora_id="another")
    assert client.put("/1.0/config", data=text.encode("latin-1")).status_code == 400
    assert fake.files.conf.read_text() == before


def test_another_certificate_is_put_in_place(client: FlaskClient, fake: FakeAgent) -> None:
    another = pem(fake.files.servers.server(AMPHORA))
    answer = client.put("/1.0/certificate", data=another)
    assert (answer.status_code, answer.json) == (202, {"message": "OK"})
    assert fake.files.server_pem.read_bytes() == another


def test_a_missing_program_is_the_machines_fault_and_said(client: FlaskClient, fake: FakeAgent) -> None:
    fake.vrrp.failures["upload"] = ProgramMissing("there is no program keepalived")
    answer = client.put("/1.0/vrrp/upload", data=b"")
    assert answer.status_code == 500
    assert answer.json == {"message": "Internal server error", "details": "there is no program keepalived", "code": "program-missing"}


def test_a_fault_of_ours_tells_no_secret(client: FlaskClient, fake: FakeAgent) -> None:
    fake.vrrp.failures["upload"] = ValueError("the key is 1234")
    answer = client.put("/1.0/vrrp/upload", data=b"")
    assert (answer.status_code, answer.mimetype) == (500, "application/json")
    assert b"1234" not in answer.data


def test_a_full_disk_is_said(client: FlaskClient, fake: FakeAgent) -> None:
    fake.vrrp.failures["upload"] = OSError(28, "No space left on device", "/somewhere/secret.pem")
    answer = client.put("/1.0/vrrp/upload", data=b"")
    assert answer.status_code == 500
    assert b"No space left on device" in answer.data
