"""What Octavia renders of a graph for each feature is what the real HAProxy and keepalived take: so uploads of it are."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from octavia_features import BEYOND_OCTAVIA, GOLDEN, every_feature, load
from octavia_models import Amphora, described
from octavia_process import Controller, Octavia
from support.namespaces import Namespace, join

if TYPE_CHECKING:
    from agent.haproxy import Haproxy

pytest_plugins = ["octavia_fixtures"]

TOPOLOGIES = {
    "SINGLE": [Amphora("11111111-1111-4111-8111-111111111111", "192.0.2.101", "203.0.113.2")],
    "ACTIVE_STANDBY": [
        Amphora("11111111-1111-4111-8111-111111111111", "192.0.2.101", "203.0.113.2", 100, "MASTER"),
        Amphora("22222222-2222-4222-8222-222222222222", "192.0.2.102", "203.0.113.3", 90, "BACKUP"),
    ],
}
DETAILS = {"memory": {"free": 1_000_000, "buffers": 0, "cached": 0}, "cpu_count": 2, "active_tuned_profiles": "virtual-guest"}
every_topology = pytest.mark.parametrize("topology", TOPOLOGIES)


class Upload(NamedTuple):
    amphora: str
    call: str
    arguments: list[Any]


@pytest.fixture(scope="module")
def octavia(controller: Controller, directory: Path) -> Octavia:
    """It knows of an amphora whose files are below `directory`, so that certificates are found where they are uploaded."""
    controller.octavia.configure(haproxy_amphora={"base_path": str(directory / "base"), "base_cert_dir": str(directory / "certs")})
    check_script = directory / "base" / "vrrp" / "check_script.sh"
    check_script.parent.mkdir(parents=True, exist_ok=True)
    check_script.write_text("#!/bin/sh\n")
    check_script.chmod(0o755)
    return controller.octavia


@pytest.fixture(scope="module")
def machine() -> Iterator[Namespace]:
    with Namespace("amphora") as machine, Namespace("other") as other:
        join(machine, "eth1", other, "eth1")
        machine.ip("address add 203.0.113.2/24 dev eth1")
        yield machine


def network(address: str, *host_routes: dict[str, str]) -> dict[str, Any]:
    cidr, gateway = ("2001:db8::/64", "2001:db8::1") if ":" in address else ("203.0.113.0/24", "203.0.113.1")
    return {"ip_address": address, "cidr": cidr, "gateway_ip": gateway, "host_routes": list(host_routes)}


def uploads(octavia: Octavia, feature: Path, topology: str, haproxy_version: str = "2.6", *host_routes: dict[str, str]) -> list[Upload]:
    """All that Octavia would send."""
    graph, secrets = load(feature)
    octavia.keep_secrets(graph, secrets)
    octavia.command("describe", document=described(graph, TOPOLOGIES[topology], topology))
    networks = [network(address, *host_routes) for address in (graph.vip_address, *(vip.ip_address for vip in graph.additional_vips))]
    calls = octavia.command("render", haproxy_version=haproxy_version, details=DETAILS, networks=networks)
    return [Upload(amphora, call, arguments) for amphora, call, *arguments in calls]


def keep_certificates(sent: list[Upload], directory: Path) -> None:
    for upload in sent:
        if upload.call == "upload_cert_pem":
            loadbalancer, name, content = upload.arguments
            (directory / "certs" / loadbalancer).mkdir(parents=True, exist_ok=True)
            (directory / "certs" / loadbalancer / name).write_text(content)


@every_topology
@every_feature
def test_haproxy_takes_what_octavia_renders(feature: Path, topology: str, haproxy: Haproxy, octavia: Octavia, directory: Path) -> None:
    sent = uploads(octavia, feature, topology, ".".join(map(str, haproxy.version[:2])))
    keep_certificates(sent, directory)
    for upload in sent:
        if upload.call == "upload_config":
            config = directory / "haproxy.cfg"
            config.write_text(upload.arguments[1])
            checked = subprocess.run([haproxy.binary, "-c", "-f", config], capture_output=True, text=True, check=False)
            if feature in BEYOND_OCTAVIA:
                assert checked.returncode == 1
                assert BEYOND_OCTAVIA[feature] in checked.stderr
            else:
                assert checked.returncode == 0, checked.stderr + config.read_text()


def keepalived_says(config: Path, machine: Namespace) -> tuple[int, str]:
    with machine.entered():
        checked = subprocess.run(["keepalived", "-t", "-f", config], capture_output=True, text=True, check=False)
    return checked.returncode, checked.stderr


@every_topology
@every_feature
def test_keepalived_takes_what_octavia_renders(feature: Path, topology: str, octavia: Octavia, directory: Path, machine: Namespace) -> None:
    for upload in uploads(octavia, feature, topology):
        if upload.call in ("upload_udp_config", "upload_vrrp_config"):
            config = directory / "keepalived.conf"
            config.write_text(upload.arguments[-1])
            code, said = keepalived_says(config, machine)
            if upload.call == "upload_vrrp_config":
                assert (code, said) == (6, "SECURITY VIOLATION - scripts are being executed but script_security not enabled.\n")
            else:
                assert (code, said) == (0, ""), config.read_text()


def test_keepalived_passes_over_what_octavia_says_of_host_routes(octavia: Octavia, directory: Path, machine: Namespace) -> None:
    """Why an agent must take what `keepalived -t` finds fault with: its 5 and 6 say that it would run all the same, 4 that it would not."""
    route = {"destination": "198.51.100.0/24", "nexthop": "203.0.113.9"}
    sent = uploads(octavia, GOLDEN / "http", "ACTIVE_STANDBY", "2.6", route)
    config = directory / "keepalived.conf"
    config.write_text(next(upload.arguments[-1] for upload in sent if upload.call == "upload_vrrp_config"))
    code, said = keepalived_says(config, machine)
    assert (code, "unknown route keyword gateway" in said) == (6, True), said
