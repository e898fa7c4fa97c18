"""A cloud around virtual machines of the image: segments for the VIP and the members, who is on them, and graphs for that.

The host's kernel may lack SCTP, so its client and its member are in the machine itself, in namespaces of their own, with NICs of their own on
the same segments: what passes goes out of the machine and comes back, as it does for all others.
"""

from __future__ import annotations

import json
import socket
import threading
import uuid
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

from support.namespaces import Namespace, join
from support.polling import eventually

from agent.errors import InterfaceNotReady
from agent.network.requests import NetworkPlug, VipPlug
from compiler.secrets import Secret
from hydria.lab.backends import HttpBackend
from hydria.lab.client import fetch

if TYPE_CHECKING:
    from support.agents import Trust
    from support.machines import Machine

VIP, CLIENT, NEIGHBOUR = "192.0.2.10", "192.0.2.50", "192.0.2.51"
CONTROLLER = "172.16.0.1"
MEMBERS = "10.0.0.0/24"
MEMBER, SCTP_MEMBER = "10.0.0.11", "10.0.0.12"
SERVER_NAME = "www.example.com"

#: Says who asks, to whoever asks. Runs in the machine.
_SCTP_SERVER = f"""
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("{SCTP_MEMBER}", 3868))
server.listen(20)
while True:
    connection, peer = server.accept()
    with connection:
        connection.settimeout(5)
        try:
            if connection.recv(100):
                connection.sendall(b"sctp member")
        except OSError:
            pass
"""
_SCTP_CLIENT = f"""
import socket
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)
client.settimeout(10)
client.connect(("{VIP}", 3868))
client.sendall(b"?")
print(client.recv(100).decode())
"""


def identifier(name: str) -> str:
    """The id of something in a graph."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


class UdpMember:
    """Answers each datagram with its name."""

    def __init__(self, namespace: Namespace, address: str, port: int) -> None:
        with namespace.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._socket.settimeout(0.2)
        self._going = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._going:
            with suppress(TimeoutError, ConnectionError):
                _, peer = self._socket.recvfrom(2000)
                self._socket.sendto(b"udp member", peer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._going = False
        self._thread.join()
        self._socket.close()


class Site:
    """All that ends with `stack`."""

    def __init__(self, stack: ExitStack, trust: Trust) -> None:
        self.trust = trust
        self.cloud = stack.enter_context(Namespace("cloud"))
        for bridge in ("vip", "members", "management"):
            self.cloud.ip(f"link add {bridge} type bridge")
            self.cloud.ip(f"link set {bridge} up")
        self.cloud.ip(f"address add {CONTROLLER}/24 dev management")
        self.client = self._machine(stack, "client", "vip", f"{CLIENT}/24")
        self.members = self._machine(stack, "member", "members", f"{MEMBER}/24")
        with self.members.entered():
            self.web = stack.enter_context(HttpBackend("web", address=MEMBER))
        stack.enter_context(UdpMember(self.members, MEMBER, 5353))
        self.tls = trust.agents.server(SERVER_NAME)
        self.lb = identifier("load balancer")

    def _machine(self, stack: ExitStack, name: str, bridge: str, address: str) -> Namespace:
        machine = stack.enter_context(Namespace(name))
        join(self.cloud, f"to-{name}", machine, "eth0")
        self.cloud.ip(f"link set to-{name} master {bridge}")
        machine.ip(f"address add {address} dev eth0")
        return machine

    # --- what a controller says ---

    def graph(self, *, udp: bool = True, sctp: bool = True, port: int = 80) -> bytes:
        """A load balancer of all kinds of listeners, of which some can be left out."""

        def listener(name: str, protocol: str, port: int, member: tuple[str, int], **more: Any) -> dict[str, Any]:
            towards = {"TERMINATED_HTTPS": "HTTP"}.get(protocol, protocol)
            members = [{"id": identifier(f"{name} member"), "name": name, "address": member[0], "protocol_port": member[1]}]
            monitors = {"UDP": "UDP-CONNECT", "SCTP": "SCTP", "HTTP": "HTTP"}
            monitor = {"type": monitors[towards], "delay": 5, "timeout": 4, "max_retries": 1}
            pool = {"protocol": towards, "lb_algorithm": "ROUND_ROBIN", "members": members, "healthmonitor": monitor}
            place = {"id": identifier(name), "name": name, "protocol": protocol, "protocol_port": port}
            return place | {"default_pool": {"id": identifier(f"{name} pool"), "name": name} | pool} | more

        web = (self.web.address, self.web.port)
        listeners = [
            listener("web", "HTTP", port, web),
            listener("tls", "TERMINATED_HTTPS", 443, web, default_tls_container_ref="cert"),
            *([listener("names", "UDP", 53, (MEMBER, 5353))] if udp else []),
            *([listener("diameter", "SCTP", 3868, (SCTP_MEMBER, 3868))] if sctp else []),
        ]
        return json.dumps({"loadbalancer": {"id": self.lb, "name": "all", "vip_address": VIP, "listeners": listeners}}).encode()

    def secrets(self) -> dict[str, Secret]:
        """The certificate that the graph refers to."""
        return {"cert": Secret(self.tls.bundle_pem)}

    def plug_vip(self, guest: Machine, mac: str, address: str) -> str:
        """A NIC on the VIP's segment, made the VIP's; `address` is the machine's own there."""
        guest.plug(self.cloud, "vip", mac)
        body = {"subnet_cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "vrrp_ip": address, "mac_address": mac, "mtu": 1450}
        plan = VipPlug.decode(VIP, json.dumps(body).encode())
        return _plugged(lambda: guest.ask(lambda client: client.plug_vip(plan)))

    def plug_members(self, guest: Machine, mac: str, address: str) -> str:
        """A NIC on the members' segment."""
        guest.plug(self.cloud, "members", mac)
        body = {"mac_address": mac, "fixed_ips": [{"ip_address": address, "subnet_cidr": MEMBERS}], "mtu": 1450}
        plan = NetworkPlug.decode(json.dumps(body).encode())
        return _plugged(lambda: guest.ask(lambda client: client.plug_network(plan)))

    # --- what clients see ---

    def http(self, port: int = 80) -> int:
        """The status of an answer."""
        with self.client.entered():
            return fetch((VIP, port), patience=20).status

    def https(self) -> int:
        """The same, over TLS that is checked."""
        with self.client.entered():
            return fetch((VIP, 443), tls=self.trust.agents.client_context(), server_name=SERVER_NAME, patience=20).status

    def udp(self) -> bytes:
        """What a datagram is answered with; nothing where it is not."""
        with self.client.entered():
            asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with asking:
            asking.settimeout(5)
            try:
                asking.sendto(b"?", (VIP, 53))
                return asking.recv(100)
            except OSError:
                return b""


class Sctp:
    """The client and the member of SCTP, in a machine. Their NICs have these hardware addresses."""

    def __init__(self, guest: Machine, client_mac: str, member_mac: str) -> None:
        self._guest = guest
        self._places = {"client": (client_mac, f"{NEIGHBOUR}/24"), "member": (member_mac, f"{SCTP_MEMBER}/24")}

    def plug(self, cloud: Namespace) -> None:
        """Their NICs."""
        for (mac, _), bridge in zip(self._places.values(), ("vip", "members"), strict=True):
            self._guest.plug(cloud, bridge, mac)

    def start(self) -> None:
        """Has them be there; again after each boot."""
        shell = self._guest.shell
        for name, (mac, address) in self._places.items():
            shell.run(f"""set -e
                for try in $(seq 60); do
                    nic=$(grep -il '^{mac}$' /sys/class/net/*/address | head -n 1) && [ -n "$nic" ] && break
                    sleep 0.5
                done
                nic=$(basename $(dirname $nic))
                ip netns add {name}
                ip link set $nic netns {name} name lan0
                ip -n {name} link set lo up
                ip -n {name} link set lan0 up mtu 1450
                ip -n {name} address add {address} dev lan0""")
        shell.run(f"cat >/run/sctp-server.py <<'END'\n{_SCTP_SERVER}\nEND\ncat >/run/sctp-client.py <<'END'\n{_SCTP_CLIENT}\nEND")
        shell.run("setsid ip netns exec member python3 -I /run/sctp-server.py >/run/sctp-server.log 2>&1 </dev/null &")

    def ask(self) -> str:
        """What an association is answered with; what went wrong where it is not."""
        return self._guest.shell.try_run("ip netns exec client python3 -I /run/sctp-client.py")[1].strip()


def _plugged(plug: Any) -> str:
    """Asks again while the NIC is not there, as controllers do."""

    def tried() -> str:
        try:
            return str(plug())
        except InterfaceNotReady:
            return ""

    return eventually(tried, "a NIC", 120.0)
