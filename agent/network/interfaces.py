"""`Interface`: what an interface in the namespace is to be like. Its file holds what the controller asked for; what follows from that
(addresses, routes, rules) is worked out here, whenever it is needed.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from agent import configuration
from agent.errors import NotFoundError, SystemFault
from agent.files import remove_file, replace_file
from agent.network.kernel import MAIN_TABLE, Placed, Route, SourceRule
from agent.network.requests import Mtu, Rule, SubnetAddress, Vip
from agent.network.words import Address, Mac, Subnet, decode

#: The VIP's interface; Octavia's keepalived configurations name it.
VIP_INTERFACE = "eth1"

#: The routing table of packets that come from a VIP; Octavia's keepalived configurations use the same.
VIP_TABLE = 1

#: What the kernel takes for an interface's name is more; what is longer or stranger than this is a stranger's file.
_NAME = re.compile(r"[A-Za-z][\w.-]{0,14}", re.ASCII)


class Interface(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The interface with the hardware address `mac`, called `name` in the namespace.

    `vip` is there on the VIP's. With `active_standby` keepalived has the VIP's addresses, the rules for them and the routes of their
    table, so they are not ours. `rules` (None: everything may come in) is its packet filter. `former` are addresses that we gave it for
    an earlier request, and that may still be there.
    """

    name: str
    mac: Mac
    mtu: Mtu | None = None
    vip: Vip | None = None
    active_standby: bool = False
    fixed_ips: tuple[SubnetAddress, ...] = ()
    rules: tuple[Rule, ...] | None = None
    former: tuple[Placed, ...] = ()

    @property
    def vips(self) -> tuple[SubnetAddress, ...]:
        """The addresses of the load balancer."""
        return self.vip.addresses if self.vip else ()

    def addresses(self) -> tuple[Placed, ...]:
        """The addresses that are ours to give, each once."""
        found: dict[Address, Placed] = {}
        if self.vip and self.vip.vrrp_ip:
            found[self.vip.vrrp_ip] = Placed(self.vip.vrrp_ip, self.vips[0].subnet_cidr.prefix)
        for fixed in self.fixed_ips:
            found.setdefault(fixed.ip_address, Placed(fixed.ip_address, fixed.subnet_cidr.prefix))
        for vip in () if self.active_standby else self.vips:
            found.setdefault(vip.ip_address, Placed(vip.ip_address, vip.ip_address.bits))
        return tuple(found.values())

    def routes(self) -> tuple[Route, ...]:
        """The routes that are ours to add: to one destination in one table, one route."""
        wanted = [*self._gateways(), *self._subnets(), *self._host_routes()]
        found: dict[tuple[Subnet, int], Route] = {}
        for route in wanted:
            found.setdefault((route.destination, route.table), route)
        return tuple(found.values())

    def source_rules(self) -> frozenset[SourceRule]:
        """What comes from a VIP is routed by the VIP's table."""
        return frozenset(SourceRule(vip.ip_address, VIP_TABLE) for vip in self._own_vips)

    def by_dhcp(self) -> bool:
        """Whether an IPv4 address is asked of the network, because the request has none for us."""
        return self._is_without_address() and (not self.vip or any(vip.ip_address.version == 4 for vip in self.vips))

    def by_autoconf(self) -> bool:
        """Whether IPv6 addresses come of routers' advertisements (SLAAC), because the request has none for us."""
        return self._is_without_address() and (not self.vip or any(vip.ip_address.version == 6 for vip in self.vips))

    def _is_without_address(self) -> bool:
        return not self.fixed_ips and (self.vip is None or self.vip.vrrp_ip is None)

    @property
    def _own_vips(self) -> tuple[SubnetAddress, ...]:
        return () if self.active_standby else self.vips

    def _gateways(self) -> list[Route]:
        """Only the VIP's interface leads to the rest of the world."""
        if self.vip is None:
            return []
        tables = (MAIN_TABLE, *(() if self.active_standby else (VIP_TABLE,)))
        return [
            Route(Subnet.everything(placed.gateway.version), placed.gateway, table=table)
            for placed in (*self.vips, *self.fixed_ips)
            if placed.gateway
            for table in tables
        ]

    def _subnets(self) -> list[Route]:
        # The kernel itself adds the route to the subnet of an address.
        connected = {Subnet.around(placed.address, placed.prefix) for placed in self.addresses()}
        plain = [Route(vip.subnet_cidr) for vip in self.vips if vip.subnet_cidr not in connected]
        return plain + [Route(vip.subnet_cidr, source=vip.ip_address, table=VIP_TABLE) for vip in self._own_vips]

    def _host_routes(self) -> list[Route]:
        main = [Route(route.destination, route.nexthop) for placed in (*self.vips, *self.fixed_ips) for route in placed.host_routes]
        of_vips = [Route(route.destination, route.nexthop, table=VIP_TABLE) for vip in self._own_vips for route in vip.host_routes]
        return main + of_vips


class InterfaceFiles:
    """The files of the interfaces, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def names(self) -> list[str]:
        """The interfaces that there are files of."""
        return sorted(path.stem for path in self.directory.glob("*.json") if _NAME.fullmatch(path.stem))

    def all(self) -> tuple[list[Interface], dict[str, str]]:
        """Every interface that there is a file of; and why, by name, where it cannot be used."""
        found, unusable = [], {}
        for name in self.names():
            try:
                found.append(self.load(name))
            except (NotFoundError, SystemFault) as error:
                unusable[name] = str(error)
        return found, unusable

    def load(self, name: str) -> Interface:
        """Raises NotFoundError where there is no file, SystemFault where it is not one of ours."""
        path = self._path(name)
        try:
            interface = msgspec.json.decode(path.read_bytes(), type=Interface, dec_hook=decode)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no interface {name}") from error
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SystemFault(f"{path} cannot be used: {error}") from error
        if interface.name != name:
            raise SystemFault(f"{path} cannot be used: it is about {interface.name}")
        return interface

    def write(self, interface: Interface) -> None:
        """Puts an interface's file in place; what another one said of the same hardware is void. Raises SystemFault."""
        content = msgspec.json.format(msgspec.json.encode(interface, enc_hook=str), indent=2)
        try:
            configuration.directory(self.directory)
            replace_file(self._path(interface.name), content + b"\n", 0o644)
            for other in self.all()[0]:
                if other.mac == interface.mac and other.name != interface.name:
                    remove_file(self._path(other.name))
        except OSError as error:
            raise SystemFault(f"{self._path(interface.name)} cannot be written: {error.strerror}") from error

    def name_of(self, mac: Mac) -> str | None:
        """What an interface with this hardware address was called before."""
        return next((interface.name for interface in self.all()[0] if interface.mac == mac), None)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.json"
