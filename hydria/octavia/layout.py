"""What a new cloud of a lab has: its networks, and what things are called in the hypervisor. Pure.

Each subnet is in three parts, so that nobody comes across anybody: its pool (.100 to .199, ::1000 to ::1fff) is what ports are given,
below it members may have any address, above it are clients.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hydria.lab.octavia_plan import MACHINES
from hydria.octavia.cloud_things import Range, Rule

if TYPE_CHECKING:
    from collections.abc import Container

#: By which agents are driven; where VIPs and clients are; where members are.
MANAGEMENT, PUBLIC, PRIVATE = "lb-mgmt", "public", "private"


class Planned(NamedTuple):
    """A subnet to be."""

    name: str
    cidr: str
    gateway: str
    pools: tuple[Range, ...]


NETWORKS: dict[str, tuple[Planned, ...]] = {
    MANAGEMENT: (Planned("lb-mgmt-subnet", "172.31.0.0/24", "172.31.0.1", (Range("172.31.0.2", "172.31.0.254"),)),),
    PUBLIC: (
        Planned("public-subnet", "192.0.2.0/24", "192.0.2.1", (Range("192.0.2.100", "192.0.2.199"),)),
        Planned("ipv6-public-subnet", "2001:db8::/64", "2001:db8::1", (Range("2001:db8::1000", "2001:db8::1fff"),)),
    ),
    PRIVATE: (
        Planned("private-subnet", "198.51.100.0/24", "198.51.100.1", (Range("198.51.100.100", "198.51.100.199"),)),
        Planned("ipv6-private-subnet", "2001:db8:1::/64", "2001:db8:1::1", (Range("2001:db8:1::1000", "2001:db8:1::1fff"),)),
    ),
}

#: Of machines: what they are made of.
FLAVORS = tuple(MACHINES.values())
ZONES = ("nova",)

#: What the machines of amphorae are to be asked on the management network: their agent, nothing else.
MANAGEMENT_GROUP = "lb-mgmt-sec-grp"
MANAGEMENT_RULES = (Rule(protocol="tcp", port_range_min=9443, port_range_max=9443), Rule(protocol="icmp"))

#: What an interface may be called (netdevice(7)), and what a machine may, whose name is also that of a file.
_INTERFACE = re.compile(r"[a-z0-9][a-z0-9-]{0,14}", re.ASCII)
_MACHINE = re.compile(r"[a-z0-9][a-z0-9-]{0,47}", re.ASCII)


def bridge(name: str, identity: str, taken: Container[str]) -> str:
    """What the bridge of a network is called."""
    return name if _INTERFACE.fullmatch(name) and name not in taken else f"br-{identity[:11]}"


def machine(name: str, identity: str, taken: Container[str]) -> str:
    """What the machine of a server is called."""
    return name if _MACHINE.fullmatch(name) and name not in taken else f"server-{identity}"
