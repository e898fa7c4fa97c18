"""`Cloud`: networks, subnets, ports, security groups and servers, kept in a lab's `cloud.sqlite`: what Neutron and Nova know elsewhere.

It knows and decides; whoever asks it (the drivers of compute and network, the answers to a command line's look-ups) acts. Several
processes may use it at once. What it raises: NotFoundError, ConflictError (an address, a name or a thing is in use), InvalidRequest.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from agent.errors import ConflictError, InvalidRequest
from hydria.octavia import addresses, allocating, layout
from hydria.octavia.cloud_things import (
    AddressPair,
    Availability,
    Flavor,
    Network,
    Port,
    QosPolicy,
    Range,
    Route,
    Rule,
    SecurityGroup,
    Server,
    ServerGroup,
    ServerStatus,
    Subnet,
    Thing,
    Wanted,
    Zone,
)
from hydria.octavia.rules import check
from hydria.octavia.store import Store, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: What the file is called in a lab's directory.
FILE = "cloud.sqlite"

#: Where hardware addresses are taken from: one is used once, in whatever network.
_HARDWARE = "hardware"

T = TypeVar("T", bound=Thing)


def _new_id() -> str:
    return str(uuid.uuid4())


class Cloud:
    """The one that is kept in `path`. `ids` makes ids that nobody has."""

    def __init__(self, path: Path, ids: Callable[[], str] = _new_id) -> None:
        self._store = Store(path)
        self._ids = ids

    @classmethod
    def create(cls, path: Path, ids: Callable[[], str] = _new_id) -> Cloud:
        """A new one, with the networks, flavors, zones and the group of `layout`. Raises FileExistsError, OSError."""
        cloud = cls(path, ids)
        cloud._store.create()
        for network, subnets in layout.NETWORKS.items():
            made = cloud.create_network(network, external=network == layout.PUBLIC)
            for each in subnets:
                cloud.create_subnet(made.id, each.name, each.cidr, gateway=each.gateway, pools=each.pools)
        group = cloud.create_security_group(layout.MANAGEMENT_GROUP, description="Agents of amphorae")
        cloud.set_rules(group.id, layout.MANAGEMENT_RULES)
        for flavor in layout.FLAVORS:
            cloud._add(Flavor(id=flavor, name=flavor))
        for zone in layout.ZONES:
            cloud._add(Zone(id=zone, name=zone))
        return cloud

    # --- look-ups: all that are as said, or the one of an id or a name ---

    def find(self, kind: type[T], *, identity: str | None = None, name: str | None = None) -> list[T]:
        """Things of a kind (`cloud_things`), in the order in which they were made."""
        with self._store.reading() as now:
            return now.find(kind, identity=identity, name=name)

    def get(self, kind: type[T], identity: str) -> T:
        """The thing of this id."""
        with self._store.reading() as now:
            return now.get(kind, identity)

    def named(self, kind: type[T], name: str) -> T:
        """The first thing of this name, or id."""
        with self._store.reading() as now:
            found = now.find(kind, name=name)
            return found[0] if found else now.get(kind, name)

    def subnets_of(self, network_id: str) -> list[Subnet]:
        """The subnets of a network."""
        return [each for each in self.find(Subnet) if each.network_id == network_id]

    def ports_of(self, device_id: str) -> list[Port]:
        """The ports of a server, or of whatever else has some."""
        with self._store.reading() as now:
            return now.find(Port, device=device_id)

    def availability(self, network_id: str) -> list[Availability]:
        """How much room there is in each subnet of a network."""
        with self._store.reading() as now:
            now.get(Network, network_id)
            taken = now.taken(network_id)
            return [
                Availability(subnet, addresses.total(subnet), sum(addresses.pooled(subnet, each) for each in taken))
                for subnet in now.find(Subnet)
                if subnet.network_id == network_id
            ]

    # --- networks and subnets ---

    def create_network(self, name: str, *, project_id: str = "", external: bool = False) -> Network:
        """A new network; its bridge is to be made by whoever asks."""
        identity = self._ids()
        with self._store.writing() as now:
            bridges = {each.bridge for each in now.find(Network)}
            bridge = layout.bridge(name, identity, bridges)
            return _put(now, Network(id=identity, name=name, project_id=project_id, bridge=bridge, external=external))

    def create_subnet(
        self,
        network_id: str,
        name: str,
        cidr: str,
        *,
        gateway: str | None = None,
        pools: Sequence[Range] = (),
        host_routes: Sequence[Route] = (),
        project_id: str = "",
    ) -> Subnet:
        """A new subnet of a network; without `pools` all of its addresses are to be given."""
        subnet = Subnet(
            id=self._ids(),
            name=name,
            project_id=project_id,
            network_id=network_id,
            cidr=addresses.same_network(cidr),
            gateway_ip=None if gateway is None else addresses.same(gateway),
            pools=tuple(pools) or (addresses.all_of(cidr),),
            host_routes=tuple(host_routes),
        )
        with self._store.writing() as now:
            now.get(Network, network_id)
            for other in now.find(Subnet):
                if other.network_id == network_id and addresses.overlap(other.cidr, subnet.cidr):
                    raise ConflictError(f"{cidr} overlaps {other.cidr}, which is subnet {other.name or other.id} of the same network")
            return _put(now, subnet)

    # --- ports ---

    def create_port(
        self,
        network_id: str,
        *,
        fixed_ips: Sequence[Wanted] = (),
        address_pairs: Sequence[AddressPair] = (),
        security_group_ids: Sequence[str] = (),
        **more: Any,
    ) -> Port:
        """A new port. Who wants no address gets one of each family that the network has; `more` are further fields of `Port`."""
        identity = self._ids()
        with self._store.writing() as now:
            now.get(Network, network_id)
            _must_be_there(now, SecurityGroup, security_group_ids)
            port = Port(
                id=identity,
                network_id=network_id,
                mac_address=self._hardware_address(now, identity),
                allowed_address_pairs=tuple(address_pairs),
                security_group_ids=tuple(security_group_ids),
                **more,
            )
            return _put(
                now,
                msgspec.structs.replace(port, fixed_ips=allocating.given(now, port, fixed_ips or allocating.one_of_each(now, network_id))),
            )

    def update_port(self, identity: str, **changes: Any) -> Port:
        """The port with some fields changed: any but `id`, `network_id`, `mac_address`, `fixed_ips`."""
        if fixed := {"id", "network_id", "mac_address", "fixed_ips"} & changes.keys():
            raise InvalidRequest(f"{', '.join(sorted(fixed))} of a port cannot be changed so")
        with self._store.writing() as now:
            _must_be_there(now, SecurityGroup, changes.get("security_group_ids", ()))
            return _put(now, msgspec.structs.replace(now.get(Port, identity), **changes))

    def add_fixed_ip(self, identity: str, wanted: Wanted) -> Port:
        """The port with an address more."""
        with self._store.writing() as now:
            port = now.get(Port, identity)
            return _put(now, msgspec.structs.replace(port, fixed_ips=(*port.fixed_ips, *allocating.given(now, port, [wanted]))))

    def remove_fixed_ips(self, identity: str, subnet_id: str) -> Port:
        """The port without its addresses of a subnet."""
        with self._store.writing() as now:
            port = now.get(Port, identity)
            for each in port.fixed_ips:
                if each.subnet_id == subnet_id:
                    now.release(identity, each.ip_address)
            return _put(now, msgspec.structs.replace(port, fixed_ips=tuple(each for each in port.fixed_ips if each.subnet_id != subnet_id)))

    def delete_port(self, identity: str) -> Port:
        """Forgets a port; what it was."""
        with self._store.writing() as now:
            port = now.get(Port, identity)
            now.release(identity)
            now.remove(Port, identity)
            return port

    # --- security groups, policies ---

    def create_security_group(self, name: str, *, description: str = "", project_id: str = "") -> SecurityGroup:
        """A new one, which lets nobody in."""
        return self._add(SecurityGroup(id=self._ids(), name=name, description=description, project_id=project_id))

    def set_rules(self, identity: str, rules: Sequence[Rule]) -> SecurityGroup:
        """The group with these rules. Those that it has already keep their ids. Raises InvalidRequest where one cannot be."""
        for rule in rules:
            check(rule)
        with self._store.writing() as now:
            group = now.get(SecurityGroup, identity)
            known = {msgspec.structs.replace(rule, id=""): rule for rule in group.rules}
            bare = dict.fromkeys(msgspec.structs.replace(rule, id="") for rule in rules)
            made = tuple(known.get(rule) or msgspec.structs.replace(rule, id=self._ids()) for rule in bare)
            return _put(now, msgspec.structs.replace(group, rules=made))

    def delete_security_group(self, identity: str) -> None:
        """Forgets one. Raises ConflictError where a port is in it."""
        with self._store.writing() as now:
            now.get(SecurityGroup, identity)
            if users := [port.id for port in now.find(Port) if identity in port.security_group_ids]:
                raise ConflictError(f"security group {identity} is used by port {users[0]}")
            now.remove(SecurityGroup, identity)

    def create_qos_policy(self, name: str, *, project_id: str = "") -> QosPolicy:
        """A new one."""
        return self._add(QosPolicy(id=self._ids(), name=name, project_id=project_id))

    # --- servers ---

    def create_server(self, name: str, **more: Any) -> Server:
        """A server that is about to be built; `more` are further fields of `Server`."""
        identity = self._ids()
        with self._store.writing() as now:
            machines = {each.machine for each in now.find(Server)}
            return _put(now, Server(id=identity, name=name, machine=layout.machine(name, identity, machines), **more))

    def set_server(self, identity: str, status: ServerStatus, fault: str | None = None) -> Server:
        """The server as it is from now on."""
        with self._store.writing() as now:
            return _put(now, msgspec.structs.replace(now.get(Server, identity), status=status, fault=fault))

    def delete_server(self, identity: str) -> None:
        """Forgets a server. Ports that it had from its start go with it, others have nobody from then on."""
        with self._store.writing() as now:
            now.get(Server, identity)
            for port in now.find(Port, device=identity):
                if port.device_owner.startswith("compute:"):
                    now.release(port.id)
                    now.remove(Port, port.id)
                else:
                    now.put(msgspec.structs.replace(port, device_id="", plugged=False))
            now.remove(Server, identity)

    def create_server_group(self, name: str, policy: str) -> ServerGroup:
        """A new one."""
        return self._add(ServerGroup(id=self._ids(), name=name, policy=policy))

    def delete_server_group(self, identity: str) -> None:
        """Forgets one."""
        with self._store.writing() as now:
            now.get(ServerGroup, identity)
            now.remove(ServerGroup, identity)

    def _add(self, thing: T) -> T:
        with self._store.writing() as now:
            return _put(now, thing)

    def _hardware_address(self, now: Transaction, port: str) -> str:
        taken, made = now.taken(_HARDWARE), addresses.hardware_address(port)
        while made in taken:
            made = addresses.hardware_address(self._ids())
        now.take(_HARDWARE, made, port)
        return made


def _put(now: Transaction, thing: T) -> T:
    now.put(thing)
    return thing


def _must_be_there(now: Transaction, kind: type[Thing], identities: Sequence[str]) -> None:
    for each in identities:
        now.get(kind, each)
