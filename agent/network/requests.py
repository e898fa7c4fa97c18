"""What a controller asks of the network: the JSON bodies of the 1.0 contract, decoded and checked.

Keys that are not known are passed over, because controllers of any release write them; a packet filter's rule with one is refused, because
nobody can tell whom it was meant to keep out. What cannot be meant raises InvalidRequest, which names the field.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from agent.errors import InvalidRequest
from agent.network.words import Address, Mac, Subnet, decode

#: The least that IPv4 (RFC 791) and IPv6 (RFC 8200, section 5) need; the most that an IP packet can be.
_LEAST_MTU = {4: 68, 6: 1280}
Mtu = Annotated[int, msgspec.Meta(ge=_LEAST_MTU[4], le=65535)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]

T = TypeVar("T")


class HostRoute(msgspec.Struct, frozen=True):
    """A route that a subnet has every machine in it use."""

    destination: Subnet
    nexthop: Address

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.destination.version != self.nexthop.version:
            raise ValueError(
                f"nexthop: {self.nexthop} given; an IPv{self.destination.version} address is needed to reach {self.destination}"
            )
        _needs_unicast(nexthop=self.nexthop)


class SubnetAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address and what its subnet is like."""

    ip_address: Address
    subnet_cidr: Subnet
    gateway: Address | None = None
    host_routes: tuple[HostRoute, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError."""
        _needs_unicast(ip_address=self.ip_address, gateway=self.gateway)
        _needs_version(self.ip_address.version, subnet_cidr=self.subnet_cidr, gateway=self.gateway)


class Vip(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a load balancer, the primary one first, and `vrrp_ip`: the amphora's own one in the primary's subnet."""

    addresses: tuple[SubnetAddress, ...]
    vrrp_ip: Address | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not self.addresses:
            raise ValueError("a VIP is needed")
        _needs_unicast(vrrp_ip=self.vrrp_ip)
        _needs_version(self.addresses[0].ip_address.version, vrrp_ip=self.vrrp_ip)


class VipPlug(msgspec.Struct, frozen=True, kw_only=True):
    """Make the interface with this hardware address the VIP's."""

    vip: Vip
    mac_address: Mac
    mtu: Mtu | None = None
    is_sriov: bool = False

    @classmethod
    def decode(cls, address: str, body: bytes) -> VipPlug:
        """From the address in the URL and the body of POST plug/vip/{address}. Raises InvalidRequest."""
        given = _decode(body, VipBody)
        plan = cls(vip=_vip(address, given), mac_address=given.mac_address, mtu=given.mtu, is_sriov=given.is_sriov)
        _check_mtu(plan.mtu, plan.vip.addresses)
        return plan


class NetworkPlug(msgspec.Struct, frozen=True, kw_only=True):
    """Give the interface with this hardware address these addresses; `vip` where it is the VIP's, as that is to be from now on."""

    mac_address: Mac
    fixed_ips: tuple[SubnetAddress, ...] = ()
    mtu: Mtu | None = None
    is_sriov: bool = False
    vip: Vip | None = None

    @classmethod
    def decode(cls, body: bytes) -> NetworkPlug:
        """From the body of POST plug/network. Raises InvalidRequest."""
        given = _decode(body, NetworkBody)
        more = given.vip_net_info
        plan = cls(
            mac_address=given.mac_address,
            fixed_ips=given.fixed_ips or (),
            mtu=given.mtu,
            is_sriov=given.is_sriov,
            vip=_vip(more.vip, more) if more else None,
        )
        _check_mtu(plan.mtu, (*plan.fixed_ips, *(plan.vip.addresses if plan.vip else ())))
        return plan


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lets packets to a port in; from a network, where there is one. `vrrp` has no ports, so there it says nothing."""

    protocol: Literal["TCP", "UDP", "SCTP", "vrrp"]
    cidr: Subnet | None
    port: Port

    @classmethod
    def decode_all(cls, body: bytes) -> tuple[Rule, ...]:
        """From the body of PUT interface/{address}/rules. Raises InvalidRequest."""
        return _decode(body, tuple[Rule, ...])


class _VipSubnets(msgspec.Struct, frozen=True, kw_only=True):
    subnet_cidr: Subnet
    gateway: Address | None
    vrrp_ip: Address | None = None
    host_routes: tuple[HostRoute, ...] | None = None
    additional_vips: tuple[SubnetAddress, ...] | None = None


class VipBody(_VipSubnets, frozen=True, kw_only=True):
    """What POST plug/vip/{address} says besides the address: `gateway` and `subnet_cidr` are the address's own."""

    mac_address: Mac
    mtu: Mtu | None = None
    is_sriov: bool = False


class VipNetInfo(_VipSubnets, frozen=True, kw_only=True):
    """The VIP as it is to be from now on, where an interface that is given other addresses is its own."""

    vip: str


class NetworkBody(msgspec.Struct, frozen=True, kw_only=True):
    """What POST plug/network says."""

    mac_address: Mac
    fixed_ips: tuple[SubnetAddress, ...] | None = None
    mtu: Mtu | None = None
    is_sriov: bool = False
    vip_net_info: VipNetInfo | None = None


def _decode(body: bytes, wanted: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=wanted, dec_hook=decode)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body: {error}") from error


def _vip(address: str, given: _VipSubnets) -> Vip:
    try:
        primary = SubnetAddress(
            ip_address=Address.parse(address),
            subnet_cidr=given.subnet_cidr,
            gateway=given.gateway,
            host_routes=given.host_routes or (),
        )
        return Vip(addresses=(primary, *(given.additional_vips or ())), vrrp_ip=given.vrrp_ip)
    except ValueError as error:
        raise InvalidRequest(f"the VIP: {error}") from error


def _needs_unicast(**addresses: Address | None) -> None:
    for field, address in addresses.items():
        if address is not None and not address.is_unicast():
            raise ValueError(f"{field}: {address} given; an address that a machine can have is needed")


def _needs_version(version: int, **others: Address | Subnet | None) -> None:
    for field, value in others.items():
        if value is not None and value.version != version:
            raise ValueError(f"{field}: {value} given; it must be IPv{version} as the address that it belongs to")


def _check_mtu(mtu: int | None, addresses: tuple[SubnetAddress, ...]) -> None:
    least = max((_LEAST_MTU[placed.ip_address.version] for placed in addresses), default=0)
    if mtu is not None and mtu < least:
        raise InvalidRequest(f"mtu: {mtu} given; at least {least} is needed for these addresses")
