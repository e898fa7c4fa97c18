"""The agent's settings: what Octavia's controllers write is read, and what cannot be meant is refused with section and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import InvalidRequest
from agent.settings import Endpoint, LiveSettings, Settings, parse

# As Octavia's template writes it (its releases differ in the order, and in what they leave out).
WHOLE = """
[DEFAULT]
debug = True
use_syslog = True

[haproxy_amphora]
base_cert_dir = /srv/octavia/certs
base_path = /srv/octavia
bind_host = 2001:db8::7
bind_port = 9444
haproxy_cmd = /usr/local/sbin/haproxy
user_log_facility = 0
respawn_count = 2

[health_manager]
controller_ip_port_list = 192.0.2.1:5555, [2001:db8::1]:5556,2001:db8::2:5557
heartbeat_interval = 3
heartbeat_key = insecure = % key

[amphora_agent]
agent_server_ca = /srv/certs/client_ca.pem
agent_server_cert = /srv/certs/server.pem
agent_server_network_dir = /srv/interfaces
agent_request_read_timeout = 120
agent_tls_protocol = TLSv1.3
amphora_id = 2c1b3f36-5b0e-4d6c-9c0a-6a0c1b9d2f11
amphora_udp_driver = keepalived_lvs

[controller_worker]
loadbalancer_topology = ACTIVE_STANDBY
"""


def test_what_octavias_controller_writes() -> None:
    assert parse(WHOLE) == Settings(
        debug=True,
        base_path=Path("/srv/octavia"),
        base_cert_dir=Path("/srv/octavia/certs"),
        bind_host="2001:db8::7",
        bind_port=9444,
        haproxy_cmd=Path("/usr/local/sbin/haproxy"),
        controllers=(Endpoint("192.0.2.1", 5555), Endpoint("2001:db8::1", 5556), Endpoint("2001:db8::2", 5557)),
        heartbeat_interval=3,
        heartbeat_key="insecure = % key",
        agent_server_ca=Path("/srv/certs/client_ca.pem"),
        agent_server_cert=Path("/srv/certs/server.pem"),
        agent_server_network_dir=Path("/srv/interfaces"),
        agent_request_read_timeout=120,
        agent_tls_protocol="TLSv1.3",
        amphora_id="2c1b3f36-5b0e-4d6c-9c0a-6a0c1b9d2f11",
        loadbalancer_topology="ACTIVE_STANDBY",
    )


def test_what_it_leaves_out_is_as_octavia_has_it() -> None:
    defaults = Settings()
    assert parse("") == defaults
    assert parse("[amphora_agent]\namphora_id = None\nagent_tls_protocol =\n[unknown]\nx = y\n") == defaults
    assert (defaults.bind_host, defaults.bind_port, defaults.active_standby) == ("::", 9443, False)


def test_the_last_word_counts() -> None:
    assert parse("[haproxy_amphora]\nbind_port = 1\nbind_port = 2\n[haproxy_amphora]\nbind_port = 3\n").bind_port == 3


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "fe80::1%eth0"])
def test_where_it_may_listen(address: str) -> None:
    assert parse(f"[haproxy_amphora]\nbind_host = {address}\n").bind_host == address


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        # An agent with such an address would take it in, and not be there after its next start.
        ("haproxy_amphora", "bind_host", "nowhere.invalid"),
        ("haproxy_amphora", "bind_host", "192.0.2.1:9443"),
        ("haproxy_amphora", "bind_port", "0"),
        ("haproxy_amphora", "bind_port", "65536"),
        ("haproxy_amphora", "bind_port", "-1"),
        ("haproxy_amphora", "bind_port", "\u0663"),
        ("haproxy_amphora", "bind_port", "000000000001999999"),
        ("haproxy_amphora", "bind_port", "000000000001" + "9" * 5000),
        ("haproxy_amphora", "base_path", "relative"),
        ("haproxy_amphora", "base_cert_dir", "/a\0b"),
        ("health_manager", "heartbeat_interval", "soon"),
        ("health_manager", "controller_ip_port_list", "192.0.2.1"),
        ("health_manager", "controller_ip_port_list", "nowhere.invalid:5555"),
        ("health_manager", "controller_ip_port_list", "192.0.2.1:5555, 192.0.2.2:x"),
        ("amphora_agent", "agent_tls_protocol", "TLSv1.1"),
        ("controller_worker", "loadbalancer_topology", "single"),
    ],
)
def test_what_cannot_be_meant_is_refused(section: str, key: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"\[{section}\] {key}: "):
        parse(f"[{section}]\n{key} = {value}\n")


@pytest.mark.parametrize("spoilt", ["heartbeat_key = secret\n", "[health_manager]\nheartbeat_key: x\nsecret\n"])
def test_what_is_no_ini_file_is_refused_without_its_words(spoilt: str) -> None:
    with pytest.raises(InvalidRequest, match="line ") as caught:
        parse(spoilt)
    assert "secret" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    conf = tmp_path / "amphora-agent.conf"
    conf.write_bytes(b"")
    settings = LiveSettings(conf)
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        settings.replace(b"[DEFAULT]\ndebug = \xff\n")
    assert conf.read_bytes() == b""
    conf.write_bytes(b"\xff")
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        LiveSettings(conf)


def test_what_nobody_can_live_with_changes_nothing(tmp_path: Path) -> None:
    conf = tmp_path / "amphora-agent.conf"
    conf.write_text("[DEFAULT]\n")
    settings, heard = LiveSettings(conf), list[Settings]()

    def never(_: Settings) -> None:
        raise InvalidRequest("never")

    settings.followers.append(heard.append)
    settings.guards.append(never)
    with pytest.raises(InvalidRequest, match="never"):
        settings.replace(WHOLE.encode())
    assert (settings.current, conf.read_text(), heard) == (Settings(), "[DEFAULT]\n", [])
    settings.guards.clear()
    assert settings.replace(WHOLE.encode()) == []
    assert settings.current == parse(WHOLE)
    assert (conf.read_text(), conf.stat().st_mode & 0o777, heard) == (WHOLE, 0o600, [settings.current])


def test_who_cannot_follow_is_told_of_and_keeps_nobody_else_from_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = tmp_path / "amphora-agent.conf"
    conf.write_text("[DEFAULT]\n")
    settings, heard = LiveSettings(conf), list[Settings]()

    def lost(_: Settings) -> None:
        raise ValueError("lost")

    settings.followers += [lost, heard.append, lost]
    assert settings.replace(WHOLE.encode()) == ["the settings are in force, but not followed everywhere: lost"] * 2
    assert (conf.read_text(), heard) == (WHOLE, [settings.current])
    assert "not followed everywhere" in "".join(capsys.readouterr())


def test_it_does_not_show_its_key() -> None:
    assert "insecure" not in repr(parse(WHOLE))
