"""What the security group of a load balancer has to let in, as Octavia's own network driver has it: listeners' ports, peers, VRRP. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from hydria.octavia.cloud_things import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

#: IP's numbers of VRRP and of what it once was signed with (RFC 5798, RFC 4302).
_VRRP = ("112", "51")
_GOING = ("PENDING_DELETE", "DELETED")
_NAMES = {"UDP": "udp", "SCTP": "sctp"}


def rules_of(load_balancer: Any, peers: str | None = None) -> list[Rule]:
    """The rules for one of Octavia's load balancers, without ids. `peers`: the group that amphorae of a pair are in, None for anybody.

    Where the user has said groups of their own, listeners' ports are those groups' business.
    """
    addresses = [load_balancer.vip.ip_address, *(each.ip_address for each in load_balancer.additional_vips)]
    families = list(dict.fromkeys(map(_family, addresses)))
    listeners = [each for each in load_balancer.listeners if each.provisioning_status not in _GOING]
    rules: list[Rule] = []
    for listener in listeners:
        if not load_balancer.vip.sg_ids:
            rules += _open(families, listener)
        rules += [_port(family, "tcp", listener.peer_port, group=peers) for family in families]
    if load_balancer.topology == "ACTIVE_STANDBY":
        rules += [Rule(ethertype=families[0], protocol=number, remote_group_id=peers) for number in _VRRP]
    return list(dict.fromkeys(rules))


def _open(families: list[str], listener: Any) -> Iterator[Rule]:
    """To whom a listener is open."""
    protocol = _NAMES.get(listener.protocol, "tcp")
    # Rows have objects here, what travels between Octavia's processes has texts.
    sources = [getattr(each, "cidr", each) for each in listener.allowed_cidrs or ()]
    for family in families:
        if sources:
            yield from (_port(family, protocol, listener.protocol_port, source) for source in sources if _family(source) == family)
        else:
            yield _port(family, protocol, listener.protocol_port)


def _port(family: str, protocol: str, port: int, source: str | None = None, group: str | None = None) -> Rule:
    return Rule(
        ethertype=family, protocol=protocol, port_range_min=port, port_range_max=port, remote_ip_prefix=source, remote_group_id=group
    )


def _family(address: str) -> str:
    return "IPv6" if ipaddress.ip_network(address, strict=False).version == 6 else "IPv4"
