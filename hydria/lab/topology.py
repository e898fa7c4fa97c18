"""What a lab consists of, as a function of its graph: machines, networks, addresses, and the graph with the lab's members in it. Pure.

The VIPs stay what the graph says, in a subnet of their own (/24, /64). The members of a graph are somewhere else, so each gets an address in the
lab and keeps its port; where it is checked elsewhere, it is checked at its own port here.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import uuid
from collections import Counter
from typing import Any, Literal

import msgspec

import compiler
from compiler import documents
from compiler.graph import Listener as GraphListener
from compiler.graph import Pool
from compiler.index import Index, walk

Network = Literal["management", "vip", "members"]
Secret = Literal["certificate", "authority", "revocations"]
#: Network → what its interfaces are called where they come from; a name has 15 letters at most (netdevice(7)).
NETWORKS: dict[Network, str] = {"management": "mgmt", "vip": "vip", "members": "back"}

#: Where the hypervisor is on the management network, and where it receives heartbeats.
CONTROLLER, HEARTBEATS = "172.31.255.1", 5555
_MANAGEMENT = "172.31.255.{}"

#: Subnets of members: the second where the VIPs are in the first (RFC 2544, RFC 4193).
_MEMBERS = {4: ("198.18.0.0/16", "198.19.0.0/16"), 6: ("fd18::/64", "fd19::/64")}

#: How many clients there are, each with an address of its own in each subnet of a VIP.
CLIENTS = 48
_FIRST_CLIENT, _FIRST_AMPHORA = 150, 101

#: Connections of an HAProxy: a lab's machine is small.
_MAXCONN = 20_000
#: The port of members that the graph does not have.
_PORT = 8080
_PRIORITIES = (100, 90)
#: By which ids are made that are the same for the same lab.
_SPACE = uuid.UUID("1c1f4f0e-8f8f-4b52-9b61-2f1b6bd3a6cb")


class Subnet(msgspec.Struct, frozen=True):
    """The subnet of a VIP; amphorae and clients are in it."""

    vip: str
    cidr: str
    gateway: str
    amphorae: tuple[str, ...]
    clients: tuple[str, ...]

    @property
    def prefix(self) -> int:
        """The length of its prefix."""
        return ipaddress.ip_network(self.cidr).prefixlen


class Amphora(msgspec.Struct, frozen=True):
    """A machine with an agent. `members`: its own addresses in the members' network, each with its prefix."""

    name: str
    id: str
    management: str
    vip_mac: str
    members_mac: str
    address: str
    members: tuple[str, ...]


class Backend(msgspec.Struct, frozen=True):
    """A server behind the load balancer. `name` is its own in the lab; `statuses`: which path it answers with which code, beside 200; `check`: the
    path that it is checked at, "" where that is none of its own.
    """

    name: str
    id: str
    pool: str
    address: str
    port: int
    tls: bool
    statuses: dict[str, int]
    check: str
    udp: bool = False


class Listener(msgspec.Struct, frozen=True):
    """Where clients go."""

    name: str
    protocol: str
    port: int


class Plan(msgspec.Struct, frozen=True):
    """A whole lab. `graph` is the JSON that agents are given, `hints` what they cannot know (see `AgentClient.put_loadbalancer`); `secrets` what
    each reference in the graph is to.
    """

    name: str
    lb: str
    graph: str
    hints: dict[str, Any]
    subnets: tuple[Subnet, ...]
    amphorae: tuple[Amphora, ...]
    backends: tuple[Backend, ...]
    listeners: tuple[Listener, ...]
    secrets: dict[str, Secret]

    @property
    def pair(self) -> bool:
        """Whether the VIPs move."""
        return len(self.amphorae) > 1

    @property
    def vips(self) -> tuple[str, ...]:
        """The primary one first."""
        return tuple(subnet.vip for subnet in self.subnets)


class Wishes(msgspec.Struct, frozen=True):
    """What whoever makes a lab may choose. `members`: in each pool, None for those of the graph; `advert_interval` in ms."""

    pair: bool = True
    members: int | None = None
    advert_interval: int = 100
    preempt: bool = False
    heartbeat_interval: int = 1


def plan(name: str, text: bytes, wishes: Wishes) -> Plan:
    """The lab for a graph (JSON or YAML). Raises ProblemError where it is none."""
    given = compiler.load(text)
    vips = [vip for vip in (given.vip_address, *(more.ip_address for more in given.additional_vips)) if vip]
    if not vips:
        raise compiler.ProblemError(
            [compiler.Problem(path="loadbalancer.vip_address", code="missing-field", message="none given; clients have to go somewhere")]
        )
    subnets = tuple(_subnet(vip, vips) for vip in vips)
    document = documents.parse(text)
    inside = document["loadbalancer"] if set(document) == {"loadbalancer"} else document
    addresses = _Addresses(vips)
    placed = _with_members(inside, wishes.members, addresses)
    graph = json.dumps({"loadbalancer": {**placed, "id": given.id}})
    amphorae = tuple(_amphora(name, number, subnets[0], addresses) for number in range(2 if wishes.pair else 1))
    loaded = compiler.load(graph)
    return Plan(
        name=name,
        lb=loaded.id,
        graph=graph,
        hints=_hints(wishes, amphorae, subnets),
        subnets=subnets,
        amphorae=amphorae,
        backends=_backends(loaded),
        listeners=tuple(Listener(one.name or one.id, str(one.protocol), one.protocol_port) for one in loaded.listeners),
        secrets=_secrets(loaded),
    )


def _subnet(vip: str, vips: list[str]) -> Subnet:
    address = ipaddress.ip_address(vip)
    network = ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False)
    taken = {ipaddress.ip_address(other) for other in vips}

    def free(first: int, count: int) -> tuple[str, ...]:
        found = (network.network_address + number for number in range(first, 255))
        return tuple(str(one) for one in itertools.islice((one for one in found if one not in taken), count))

    return Subnet(vip, str(network), free(1, 1)[0], free(_FIRST_AMPHORA, 2), free(_FIRST_CLIENT, CLIENTS))


class _Addresses:
    """Those of the members' network, each given once."""

    def __init__(self, vips: list[str]) -> None:
        own = [ipaddress.ip_address(vip) for vip in vips]
        self.subnets = {
            version: next(net for net in map(ipaddress.ip_network, choices) if not any(vip in net for vip in own if vip.version == version))
            for version, choices in _MEMBERS.items()
        }
        self._given = 0

    def member(self, was: str | None) -> str:
        """A new one, of the family that the member had."""
        self._given += 1
        version = 6 if was and ":" in was else 4
        return str(self.subnets[version].network_address + 0x100 + self._given)

    def amphora(self, number: int) -> tuple[str, ...]:
        """Of both families, with prefixes."""
        return tuple(f"{net.network_address + 11 + number}/{net.prefixlen}" for net in self.subnets.values())


def _with_members(node: Any, wanted: int | None, addresses: _Addresses) -> Any:
    """The document with the lab's members in each pool that is described in it."""
    if isinstance(node, list):
        return [_with_members(one, wanted, addresses) for one in node]
    if not isinstance(node, dict):
        return node
    changed = {key: value if key == "members" else _with_members(value, wanted, addresses) for key, value in node.items()}
    if "lb_algorithm" in node:
        changed["members"] = [_placed(member, addresses) for member in _as_many(node.get("members") or [], wanted)]
    return changed


def _as_many(members: list[Any], wanted: int | None) -> list[Any]:
    if wanted is None:
        return members
    more = [{"name": f"member-{number + 1}", "address": "", "protocol_port": _PORT} for number in range(len(members), wanted)]
    return [*members, *more][:wanted]


def _placed(member: Any, addresses: _Addresses) -> Any:
    kept = {key: value for key, value in member.items() if key not in ("monitor_address", "monitor_port", "subnet_id")}
    return {**kept, "address": addresses.member(member.get("address"))}


def _amphora(lab: str, number: int, subnet: Subnet, addresses: _Addresses) -> Amphora:
    name = f"amphora-{number + 1}"
    return Amphora(
        name=name,
        id=str(uuid.uuid5(_SPACE, f"{lab}/{name}")),
        management=_MANAGEMENT.format(11 + number),
        vip_mac=f"fa:16:3e:00:01:{number + 1:02x}",
        members_mac=f"fa:16:3e:00:02:{number + 1:02x}",
        address=subnet.amphorae[number],
        members=addresses.amphora(number),
    )


def _hints(wishes: Wishes, amphorae: tuple[Amphora, ...], subnets: tuple[Subnet, ...]) -> dict[str, Any]:
    common: dict[str, Any] = {"maxconn": _MAXCONN, "log": None}
    if not wishes.pair:
        return common | {"topology": "SINGLE"}
    return common | {
        "topology": "ACTIVE_STANDBY",
        "amphorae": [
            {"id": one.id, "address": one.address, "priority": priority} for one, priority in zip(amphorae, _PRIORITIES, strict=True)
        ],
        "vrrp": {"interface": "eth1", "advert_interval": wishes.advert_interval, "preempt": wishes.preempt},
        "networks": [{"address": subnet.vip, "cidr": subnet.cidr, "gateway": subnet.gateway} for subnet in subnets],
    }


def _backends(graph: compiler.LoadBalancer) -> tuple[Backend, ...]:
    pools = Index(graph).pools.values()
    names = Counter(member.name for pool in pools for member in pool.members)
    found = []
    for pool in pools:
        monitor = pool.healthmonitor
        expected = int(str(monitor.expected_codes)[:3]) if monitor and monitor.expected_codes else 200
        path = (monitor.url_path or "/") if monitor is not None else "/"
        statuses = {} if expected == 200 else {path: expected}
        check = "" if path == "/" else path
        for member in pool.members:
            name = member.name if member.name and names[member.name] == 1 else f"{pool.name or pool.id}/{member.name or member.id}"
            tls = str(pool.protocol) == "HTTPS" or pool.tls_enabled
            place = str(member.address), member.protocol_port
            found.append(Backend(name, member.id, pool.name or pool.id, *place, tls=tls, statuses=statuses, check=check))
    return tuple(found)


#: What the names of fields say that refer to no certificate with its key.
_OTHER_SECRETS: dict[str, Secret] = {"_crl_container_ref": "revocations", "ca_tls_container_ref": "authority"}


def _secrets(graph: compiler.LoadBalancer) -> dict[str, Secret]:
    found: dict[str, Secret] = dict.fromkeys(compiler.secret_references(graph), "certificate")
    for node, _ in walk(graph):
        if isinstance(node, GraphListener | Pool):
            for field in msgspec.structs.fields(type(node)):
                value = getattr(node, field.name)
                for ending, kind in _OTHER_SECRETS.items():
                    if isinstance(value, str) and f"_{field.name}".endswith(ending):
                        found[value] = kind
    return found
