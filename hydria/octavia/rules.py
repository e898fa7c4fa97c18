"""Rules of security groups: which can be, and which a load balancer needs, as Octavia's own network driver has them: listeners, peers, VRRP. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from agent.errors import InvalidRequest
from hydria.octavia.cloud_things import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

#: IP's numbers of VRRP and of what it once was signed with (RFC 5798, RFC 4302).
_VRRP = ("112", "51")
_GOING = ("PENDING_DELETE", "DELETED")
_FAMILIES = ("IPv4", "IPv6")
_WITH_PORTS = ("tcp", "udp", "sctp")
_PROTOCOLS = (*_WITH_PORTS, "icmp", "ipv6-icmp")
_NAMES = {"UDP": "udp", "SCTP": "sctp"}


def check(rule: Rule) -> None:
    """Raises InvalidRequest where a network could make nothing of a rule."""
    if rule.ethertype not in _FAMILIES or rule.direction not in ("ingress", "egress"):
        raise InvalidRequest(f"{rule.direction} and {rule.ethertype}: no security group has such a rule")
    if rule.protocol is not None and rule.protocol not in _PROTOCOLS and not (rule.protocol.isdecimal() and int(rule.protocol) < 256):
        raise InvalidRequest(f"{rule.protocol} is no protocol; there are {', '.join(_PROTOCOLS)}, and all by their numbers")
    ports = [port for port in (rule.port_range_min, rule.port_range_max) if port is not None]
    if ports and (rule.protocol not in _WITH_PORTS or ports != sorted(ports) or not all(1 <= port <= 65535 for port in ports)):
        raise InvalidRequest(f"{rule.protocol} has no ports {' to '.join(map(str, ports))}")
    try:
        fits = rule.remote_ip_prefix is None or _family(rule.remote_ip_prefix) == rule.ethertype
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
    if not fits:
        raise InvalidRequest(f"{rule.remote_ip_prefix} is not {rule.ethertype}")


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
