"""What a cloud without Neutron and Nova consists of, in their words. Plain data; `hydria.octavia.cloud` keeps it and makes its rules true."""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

#: What a port is owned by that Octavia made, and one that a server has from its start.
OCTAVIA, COMPUTE = "Octavia", "compute:lab"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
ServerStatus = Literal["BUILD", "ACTIVE", "SHUTOFF", "ERROR"]


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """What all have. `project_id` is "" where it is everybody's."""

    id: str
    name: str = ""
    project_id: str = ""


class Network(Thing, frozen=True, kw_only=True):
    """`bridge`: the interface in the hypervisor that is this network."""

    bridge: str
    mtu: int = 1500
    external: bool = False


class Range(msgspec.Struct, frozen=True):
    """Addresses that are given to whoever wants any, both ends among them."""

    first: str
    last: str


class Route(msgspec.Struct, frozen=True):
    """As `host_routes` has it."""

    destination: str
    nexthop: str


class Subnet(Thing, frozen=True, kw_only=True):
    """`after`: the address that was last given to somebody who wanted any."""

    network_id: str
    cidr: str
    gateway_ip: str | None
    pools: tuple[Range, ...]
    host_routes: tuple[Route, ...] = ()
    after: str | None = None

    @property
    def ip_version(self) -> int:
        """4 or 6."""
        return ipaddress.ip_network(self.cidr).version

    def has(self, address: str) -> bool:
        """Whether an address is one of its hosts'; its gateway is one."""
        net, ip = ipaddress.ip_network(self.cidr), ipaddress.ip_address(address)
        return ip in net and ip != net.network_address and (net.version == 6 or ip != net.broadcast_address)


class FixedIp(msgspec.Struct, frozen=True):
    """An address that a port has."""

    subnet_id: str
    ip_address: str


class Wanted(msgspec.Struct, frozen=True):
    """An address that a port is to have: any of a subnet, or this one, whatever subnet it is in."""

    subnet_id: str | None = None
    ip_address: str | None = None


class AddressPair(msgspec.Struct, frozen=True):
    """What a port may send from besides its own addresses: an address or a subnet, and the port's own hardware address where none is said."""

    ip_address: str
    mac_address: str | None = None


class Port(Thing, frozen=True, kw_only=True):
    """`device_id`: the server, or whatever else has it. `plugged`: its cable is in a machine."""

    network_id: str
    mac_address: str
    fixed_ips: tuple[FixedIp, ...] = ()
    allowed_address_pairs: tuple[AddressPair, ...] = ()
    device_id: str = ""
    device_owner: str = ""
    admin_state_up: bool = True
    security_group_ids: tuple[str, ...] = ()
    qos_policy_id: str | None = None
    vnic_type: str = "normal"
    plugged: bool = False

    @property
    def status(self) -> str:
        """ACTIVE where something can come through, DOWN otherwise."""
        return "ACTIVE" if self.plugged and self.admin_state_up else "DOWN"

    @property
    def tap(self) -> str:
        """What its cable's end in the hypervisor is called."""
        return f"tap{self.id[:11]}"

    @property
    def nic(self) -> str:
        """What its cable's end in a machine is called, until the agent gives it another name."""
        return f"nic{self.id[:11]}"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a security group. `protocol` is a name or a number, None for all; no `remote_…`: everybody."""

    id: str = ""
    direction: str = "ingress"
    ethertype: str = "IPv4"
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None


class SecurityGroup(Thing, frozen=True, kw_only=True):
    """Who may begin to speak to the ports that are in it."""

    description: str = ""
    rules: tuple[Rule, ...] = ()


class QosPolicy(Thing, frozen=True, kw_only=True):
    """A name only: the lab does not limit anybody."""


class Server(Thing, frozen=True, kw_only=True):
    """`machine`: what it is called in the lab; its disk is the directory of this name. `fault` says why it is in ERROR."""

    machine: str
    status: ServerStatus = "BUILD"
    fault: str | None = None
    flavor_id: str = ""
    image_id: str = ""
    zone: str = ""
    server_group_id: str | None = None


class ServerGroup(Thing, frozen=True, kw_only=True):
    """Servers that are to be on different hypervisors, were there more than one."""

    policy: str = ""


class Flavor(Thing, frozen=True, kw_only=True):
    """What a machine is made of (`hydria.lab.kinds`), by its id only: they are all of one size."""


class Zone(Thing, frozen=True, kw_only=True):
    """An availability zone of machines; its name is its id."""


class Availability(msgspec.Struct, frozen=True):
    """Of a subnet: addresses in its pools, and how many of them are taken."""

    subnet: Subnet
    total: int
    used: int
