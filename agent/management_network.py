"""The management network as a cloud describes it (Nova's `network_data.json`), in systemd-networkd's words.

Only what the drive tells of is configured: all other interfaces are plugged in later and are the agent's, in a namespace of their own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from agent.errors import InvalidRequest
from agent.texts import Text, render

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)

#: Nova's types of networks → which address families DHCP is asked for; router advertisements say so themselves.
_DHCP = {"ipv4_dhcp": "ipv4", "ipv6_dhcp": "ipv6", "ipv6_dhcpv6-stateful": "ipv6"}
_ADVERTISED = {"ipv6_slaac", "ipv6_dhcpv6-stateless"}
_FIXED = {"ipv4", "ipv6"}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Parsed = TypeVar("_Parsed")


class Route(NamedTuple):
    """A route; Text, because it is written into a file."""

    destination: Text
    gateway: Text


class _Link:
    """What is to be said about one interface."""

    def __init__(self, mac: str, mtu: int | None) -> None:
        self.mac = mac
        self.mtu = mtu
        self.dhcp: set[str] = set()
        self.advertisements = False
        self.addresses: list[Text] = []
        self.routes: list[Route] = []
        self.servers: list[Text] = []

    def add(self, network: Mapping[str, Any]) -> None:
        kind = str(network.get("type"))
        if kind in _DHCP:
            self.dhcp.add(_DHCP[kind])
            self.advertisements |= _DHCP[kind] == "ipv6"
        elif kind in _ADVERTISED:
            self.advertisements = True
        elif kind in _FIXED:
            self._fixed(network)
        else:
            raise InvalidRequest(f"network_data.json: networks: type {kind!r} given, which is none that Nova writes")

    def _fixed(self, network: Mapping[str, Any]) -> None:
        address = str(network.get("ip_address"))
        prefix = f"{address}/{network['netmask']}" if network.get("netmask") and "/" not in address else address
        interface = _parsed(ipaddress.ip_interface, prefix, "ip_address")
        self.addresses.append(Text(interface.with_prefixlen))
        for told in network.get("routes") or []:
            wanted = f"{told.get('network')}/{told.get('netmask')}"
            destination = _parsed(ipaddress.ip_network, wanted, "routes")
            self.routes.append(Route(Text(str(destination)), Text(str(_address(told.get("gateway"), "routes")))))
        if network.get("gateway"):
            default = "0.0.0.0/0" if interface.version == 4 else "::/0"
            route = Route(Text(default), Text(str(_address(network["gateway"], "gateway"))))
            self.routes += [] if route in self.routes else [route]

    def text(self) -> bytes:
        families = {frozenset[str](): "no", frozenset({"ipv4"}): "ipv4", frozenset({"ipv6"}): "ipv6", frozenset({"ipv4", "ipv6"}): "yes"}
        return render(
            "systemd/management.network.j2",
            mac=Text(self.mac),
            mtu=self.mtu or 0,
            dhcp=Text(families[frozenset(self.dhcp)]),
            advertisements=Text("yes" if self.advertisements else "no"),
            addresses=self.addresses,
            routes=self.routes,
            servers=list(dict.fromkeys(self.servers)),
        )


def network_files(told: Mapping[str, Any]) -> dict[str, bytes]:
    """File name → content below `/etc/systemd/network`; nothing where the cloud says nothing. Raises InvalidRequest."""
    links: dict[str, _Link] = {}
    for link in told.get("links") or []:
        mac = str(link.get("ethernet_mac_address")).lower()
        if not _MAC.fullmatch(mac):
            raise InvalidRequest(f"network_data.json: links: ethernet_mac_address {mac!r} given; six octets are needed")
        mtu = link.get("mtu")
        links[str(link.get("id"))] = _Link(mac, mtu if isinstance(mtu, int) and 576 <= mtu <= 65_535 else None)
    general = [_address(service.get("address"), "services") for service in told.get("services") or [] if service.get("type") == "dns"]
    for network in told.get("networks") or []:
        found = links.get(str(network.get("link")))
        if found is None:
            raise InvalidRequest(f"network_data.json: networks: link {network.get('link')!r} is not among the links")
        found.add(network)
        own = [_address(service.get("address"), "services") for service in network.get("services") or [] if service.get("type") == "dns"]
        found.servers += [Text(str(server)) for server in [*own, *general]]
    return {f"10-{link.mac.replace(':', '')}.network": link.text() for link in links.values()}


def name_servers(told: Mapping[str, Any]) -> list[str]:
    """The addresses of all that the cloud tells of. Raises InvalidRequest."""
    services = [
        *(told.get("services") or []),
        *(service for network in told.get("networks") or [] for service in network.get("services") or []),
    ]
    return list(dict.fromkeys(str(_address(service.get("address"), "services")) for service in services if service.get("type") == "dns"))


def _address(text: Any, what: str) -> _Address:
    return _parsed(ipaddress.ip_address, str(text), what)


def _parsed(parse: Callable[[str], _Parsed], text: str, what: str) -> _Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidRequest(f"network_data.json: {what}: {error}") from error
