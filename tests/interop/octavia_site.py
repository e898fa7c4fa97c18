"""A site that Octavia runs: a controller, amphorae, a client on the VIP's network segment, members on another."""

from __future__ import annotations

import json
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from octavia_models import Amphora, described
from octavia_process import OWN_DRIVER
from support.agents import BASE, ETC, PORT, AgentMachine, Cloud, Trust
from support.namespaces import Namespace

import compiler
from compiler.secrets import Secrets
from hydria.lab.backends import EchoBackend, HttpBackend

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from octavia_process import Controller

    from compiler.graph import LoadBalancer

VIP, VIP6 = "203.0.113.10", "2001:db8:1::10"
CLIENT, CLIENT6 = "203.0.113.100", "2001:db8:1::100"
VIP_NETWORK: dict[str, Any] = {"ip_address": VIP, "cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1", "host_routes": []}
VIP6_NETWORK: dict[str, Any] = {"ip_address": VIP6, "cidr": "2001:db8:1::/64", "gateway_ip": "2001:db8:1::1", "host_routes": []}
MEMBERS, MEMBERS6 = ("198.51.100.201", "198.51.100.202"), ("2001:db8:2::201",)
_CONTROLLER, _MANAGEMENT_NETWORK = "192.0.2.1", 24


class Site:
    """`topology` says how many amphorae there are, `by_ipv6` whether VIP6 is the first of the two VIPs, `driver` which of Octavia's drivers drives.
    `last_agent`: what is run as the agent of the last amphora, where that is not Hydria's.

    A context manager; leaving it ends all but the controller.
    """

    def __init__(
        self,
        controller: Controller,
        directory: Path,
        topology: str = "SINGLE",
        *,
        by_ipv6: bool = False,
        driver: str = OWN_DRIVER,
        last_agent: list[str] | None = None,
    ) -> None:
        self.networks = (VIP6_NETWORK, VIP_NETWORK) if by_ipv6 else (VIP_NETWORK, VIP6_NETWORK)
        self.octavia = controller.octavia
        self.controller = controller.machine
        self.topology = topology
        self.trust = Trust()
        self.graph: LoadBalancer
        self._directory = directory
        self._stack = ExitStack()
        directory.mkdir()
        (directory / "client.pem").write_bytes(self.trust.controller().bundle_pem)
        (directory / "server_ca.pem").write_bytes(self.trust.agents.certificate_pem)
        with ExitStack() as stack:
            self.cloud = stack.enter_context(Cloud("management", "vips", "members"))
            self.client = stack.enter_context(Namespace("client"))
            self.members = stack.enter_context(Namespace("members"))
            self.cloud.join("management", self.controller, "mgmt", f"{_CONTROLLER}/{_MANAGEMENT_NETWORK}", "2001:db8::1/64")
            stack.callback(self.controller.ip, "link delete mgmt")
            self.cloud.join("vips", self.client, "eth0", f"{CLIENT}/24", f"{CLIENT6}/64", "203.0.113.1/24", "2001:db8:1::1/64")
            addresses = [*(f"{each}/24" for each in MEMBERS), *(f"{each}/64" for each in MEMBERS6)]
            self.cloud.join("members", self.members, "eth0", *addresses)
            self.machines = [
                stack.enter_context(self._machine(directory / f"amphora{number}", number))
                for number in range(1, 3 if topology == "ACTIVE_STANDBY" else 2)
            ]
            self.machine = self.machines[0]
            self.machines[-1].program = last_agent or self.machines[-1].program
            self.drive_by(driver)
            for machine in self.machines:
                machine.configure(self.octavia.command("agent_config", amphora_id=machine.id, topology=topology))
                machine.start()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _machine(self, directory: Path, number: int) -> AgentMachine:
        machine = AgentMachine(directory, self.trust, f"192.0.2.{20 + number}")
        addresses = (f"{machine.address}/{_MANAGEMENT_NETWORK}", f"2001:db8::{20 + number}/64")
        self.cloud.join("management", machine.machine, "eth0", *addresses)
        return machine

    def drive_by(self, driver: str) -> None:
        """Has Octavia begin anew with this driver. By its own configuration it gives up early, so that failures do not take long."""
        self.octavia.configure(
            driver,
            haproxy_amphora={
                "client_cert": str(self._directory / "client.pem"),
                "server_ca": str(self._directory / "server_ca.pem"),
                "bind_port": PORT,
                "connection_max_retries": 2,
                "connection_retry_interval": 0,
                "rest_request_conn_timeout": 5,
                "rest_request_read_timeout": 30,
                "base_path": BASE,
                "base_cert_dir": f"{BASE}/certs",
            },
            amphora_agent={
                "agent_server_ca": f"{ETC}/client_ca.pem",
                "agent_server_cert": f"{ETC}/server.pem",
                "agent_server_network_dir": f"{ETC}/interfaces",
            },
            health_manager={
                "controller_ip_port_list": [f"{_CONTROLLER}:5555"],
                "heartbeat_interval": 3,
                "heartbeat_key": "insecure",
            },
        )

    # --- what is told to Octavia ---

    def describe(self, document: dict[str, Any], secrets: Secrets | None = None) -> None:
        """Octavia now knows of this load balancer (in the API's words), and of all amphorae."""
        self.know(compiler.load(json.dumps({"loadbalancer": document})), secrets or Secrets())

    def know(self, graph: LoadBalancer, secrets: Secrets) -> None:
        """As `describe`, of a graph."""
        self.graph = graph
        self.octavia.keep_secrets(graph, secrets)
        pair = self.topology == "ACTIVE_STANDBY"
        amphorae = [
            Amphora(machine.id, machine.address, self.vrrp_address(machine), 110 - 10 * number, role if pair else "STANDALONE")
            for number, (machine, role) in enumerate(zip(self.machines, ("MASTER", "BACKUP"), strict=False), 1)
        ]
        self.octavia.command("describe", document=described(self.graph, amphorae, self.topology))

    def client_call(self, method: str, *arguments: Any, machine: AgentMachine | None = None) -> Any:
        """A call of Octavia's REST client."""
        return self.octavia.command("client", method=method, amphora=(machine or self.machine).id, arguments=list(arguments))

    def driver_call(self, method: str, *arguments: Any) -> Any:
        """A call of Octavia's driver; see `octavia_side.Octavia` for arguments that are models."""
        return self.octavia.command("call", method=method, arguments=list(arguments))

    # --- what Octavia and its cloud do together ---

    def vrrp_address(self, machine: AgentMachine) -> str:
        """The machine's own address on the VIP's segment."""
        number = 21 + self.machines.index(machine)
        return f"2001:db8:1::{number}" if ":" in self.networks[0]["ip_address"] else f"203.0.113.{number}"

    def mac(self, machine: AgentMachine, number: int) -> str:
        """The hardware address of the machine's `number`th interface for traffic."""
        return f"fa:16:3e:00:{self.machines.index(machine):02x}:{number:02x}"

    def plug_vip(self, machine: AgentMachine) -> None:
        """The cloud plugs the VIP's interface, Octavia tells the agent."""
        self.attach(machine, 1)
        port = {"id": str(uuid.uuid4()), "mac_address": self.mac(machine, 1), "mtu": 1450, "fixed_ips": []}
        self.driver_call(
            "post_vip_plug",
            {"model": "amphora", "of": machine.id},
            {"model": "load_balancer"},
            None,
            {"model": "port", "of": port},
            {"model": "subnet", "of": self.networks[0]},
            {"model": "additional_vips", "of": self.networks},
        )

    def plug_members(self, machine: AgentMachine) -> None:
        """As `plug_vip`, for the members' segment."""
        self.attach(machine, 2)
        self.tell_of_members(machine, 1450)

    def attach(self, machine: AgentMachine, number: int) -> None:
        """The cloud plugs the machine's `number`th interface for traffic, without a word to anybody."""
        self.cloud.plug({1: "vips", 2: "members"}[number], machine.machine, self.mac(machine, number), f"ens{3 + number}")

    def tell_of_members(self, machine: AgentMachine, mtu: int) -> None:
        """Octavia tells the agent of the interface on the members' segment."""
        number = 21 + self.machines.index(machine)
        fixed_ips = [
            {"ip_address": f"198.51.100.{number}", "cidr": "198.51.100.0/24", "gateway_ip": "198.51.100.1", "host_routes": []},
            {"ip_address": f"2001:db8:2::{number}", "cidr": "2001:db8:2::/64", "gateway_ip": None, "host_routes": []},
        ]
        port = {"id": str(uuid.uuid4()), "mac_address": self.mac(machine, 2), "mtu": mtu, "fixed_ips": fixed_ips}
        self.driver_call("post_network_plug", {"model": "amphora", "of": machine.id}, {"model": "port", "of": port}, None)

    def update(self, machine: AgentMachine | None = None) -> None:
        """Octavia gives the agent the load balancer as it is."""
        amphora = {"model": "amphora", "of": (machine or self.machine).id}
        self.driver_call("update_amphora_listeners", {"model": "load_balancer"}, amphora)

    # --- members ---

    def http_backend(self, name: str, address: str = MEMBERS[0], tls: ssl.SSLContext | None = None) -> HttpBackend:
        """A running member."""
        with self.members.entered():
            return self._stack.enter_context(HttpBackend(name, address=address, tls=tls))

    def echo_backend(self, name: str, address: str = MEMBERS[0], tls: ssl.SSLContext | None = None) -> EchoBackend:
        """A running member that speaks no HTTP."""
        with self.members.entered():
            return self._stack.enter_context(EchoBackend(name, address=address, tls=tls))
