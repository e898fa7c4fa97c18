"""An amphora of a lab: booted by the hypervisor, cabled, its agent started; and what a controller does with a new one. All over public contracts."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.client import PORT
from agent.clock import SystemClock, wait_until
from agent.errors import AgentUnreachable, SystemFault
from agent.network.requests import NetworkPlug, VipPlug
from agent.services.records import identify
from hydria.lab import bridges, namespaces
from hydria.lab.pid_one import HYPERVISOR
from hydria.lab.topology import CONTROLLER, HEARTBEATS, NETWORKS, Amphora, Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.client import AgentClient
    from hydria.lab.lab import Lab

#: The prefix of the management network.
_MANAGEMENT_PREFIX = 24
#: Seconds that an agent may take to start, and between two looks.
_STARTING, _BETWEEN = 60.0, 0.05
#: Seconds for a machine to be gone.
_ENDING = 30.0


def disk(lab: Lab, amphora: Amphora) -> Path:
    """What stays when it is switched off."""
    return lab.directory / amphora.name


def settings(lab: Lab, amphora: Amphora, key: str, interval: int) -> str:
    """Its `amphora-agent.conf`."""
    place = disk(lab, amphora)
    return f"""[DEFAULT]
debug = False

[haproxy_amphora]
base_path = {place}/octavia
base_cert_dir = {place}/octavia/certs
bind_host = {amphora.management}
bind_port = {PORT}

[health_manager]
controller_ip_port_list = {CONTROLLER}:{HEARTBEATS}
heartbeat_interval = {interval}
heartbeat_key = {key}

[amphora_agent]
agent_server_ca = {place}/client_ca.pem
agent_server_cert = {place}/server.pem
agent_server_network_dir = {place}/interfaces
amphora_id = {amphora.id}

[controller_worker]
loadbalancer_topology = {"ACTIVE_STANDBY" if lab.plan.pair else "SINGLE"}
"""


def port(amphora: str, network: Network) -> str:
    """The network's end of its cable."""
    return f"{amphora}-{NETWORKS[network]}"


def boot(lab: Lab, amphora: Amphora) -> None:
    """Switches it on, and starts its agent. Raises CallError, OSError."""
    again = (disk(lab, amphora) / "state").exists()
    machine = switch_on(lab, amphora.name)
    hypervisor = lab.network(HYPERVISOR)
    interfaces: dict[Network, tuple[str, str | None]] = {
        "management": ("mgmt0", None),
        "vip": ("ens4", amphora.vip_mac),
        "members": ("ens5", amphora.members_mac),
    }
    for network, (interface, mac) in interfaces.items():
        bridges.cable(hypervisor, NETWORKS[network], port(amphora.name, network), machine, interface=interface, mac=mac)
    bridges.settle(machine, "mgmt0", [f"{amphora.management}/{_MANAGEMENT_PREFIX}"])
    start_agent(lab, amphora, restoring=again)


def start_agent(lab: Lab, amphora: Amphora, *, restoring: bool = False) -> None:
    """Starts its agent, after a boot having everything be as before. Raises CallError."""
    place = disk(lab, amphora)
    command = agent_command(place / "amphora-agent.conf", place / "state", restoring=restoring)
    lab.call(amphora.name, "run", command=command, log=str(place / "agent.log"))


def switch_on(lab: Lab, name: str, places: Mapping[str, str] | None = None) -> Path:
    """Boots a machine, without any network but its loopback; its namespace. `places`: directory there → what it is here. Raises CallError, OSError."""
    lab.call(HYPERVISOR, "boot", name=name, places=dict(places or {}))
    machine = namespaces.of_machine(lab.first_process(name))
    bridges.bring_up_loopback(machine)
    return machine


def cut_power(lab: Lab, name: str, ports: Mapping[str, str]) -> None:
    """Switches a machine off; nobody notices but by its silence. `ports`: its ports' names → the networks' that they are on. Raises OSError."""
    hypervisor = lab.network(HYPERVISOR)
    there = bridges.ports(hypervisor)
    for each, network in ports.items():
        if each in there:
            # Else its kernel would tell everybody that the processes are gone.
            bridges.silence(hypervisor, network, each, silent=True)
    # With its first process everything on it ends, so the machine is gone when that is.
    first = identify(lab.first_process(name)) if lab.runs(name) else None
    if first is not None:
        first.signal(signal.SIGKILL)
        if not wait_until(lambda: not first.alive(), _ENDING, SystemClock()):
            raise SystemFault(f"{name} does not end")


def agent_command(configuration: Path, state: Path, *, restoring: bool) -> list[str]:
    """What is run as the agent of a machine; `restoring` has everything be as before first."""
    agent = [
        str(Path(sys.executable).with_name("hydria-agent")),
        *("--octavia-conf", str(configuration)),
        *("--run-dir", "/run/hydria"),
        *("--state-dir", str(state)),
        *("--services", "supervised"),
        *("--log-format", "json"),
    ]
    return ["sh", "-c", '"$@" restore; exec "$@" serve', "sh", *agent] if restoring else [*agent, "serve"]


def await_agent(lab: Lab, amphora: Amphora, client: AgentClient) -> None:
    """Returns when its agent answers; the caller is where agents are driven from. Raises SystemFault where it does not come to that."""
    until = time.monotonic() + _STARTING
    while True:
        try:
            client.version()
        except AgentUnreachable as error:
            if time.monotonic() > until:
                log = disk(lab, amphora) / "agent.log"
                raise SystemFault(f"the agent of {amphora.name} does not answer: {error}\n{log.read_text()[-2000:]}") from error
            time.sleep(_BETWEEN)
        else:
            return


def introduce(lab: Lab, amphora: Amphora, client: AgentClient) -> None:
    """Has a new one have its VIP's and its members' interface: the 1.0 contract's calls. Raises AgentError."""
    primary, *more = lab.plan.subnets
    vip: dict[str, Any] = {
        "subnet_cidr": primary.cidr,
        "gateway": primary.gateway,
        "mac_address": amphora.vip_mac,
        "vrrp_ip": amphora.address,
        "additional_vips": [{"ip_address": one.vip, "subnet_cidr": one.cidr, "gateway": one.gateway} for one in more],
    }
    client.plug_vip(VipPlug.decode(primary.vip, json.dumps(vip).encode()))
    members = {
        "mac_address": amphora.members_mac,
        "fixed_ips": [{"ip_address": each.partition("/")[0], "subnet_cidr": each} for each in amphora.members],
    }
    client.plug_network(NetworkPlug.decode(json.dumps(members).encode()))
