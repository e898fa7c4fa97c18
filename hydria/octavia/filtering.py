"""What bridges pass, as a table for `nft -f`: Neutron's port security. Pure.

* A port sends with its own hardware address and from its own addresses, those of its subnets, or its allowed address pairs. Without the
  pair, an amphora's VIP is of no use.
* A connection to a port begins where a rule of one of its security groups allows it; a port that is in none is open. What belongs to a
  connection passes: there, that is everything of TCP that does not begin one, and datagrams to ports that programs get when they do not care.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from hydria.octavia.cloud_things import Port, Rule, SecurityGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TABLE = "hydria"

#: What a kernel can load that has a filter for bridges, and that changes nothing.
NOTHING = f"table bridge {TABLE}-nothing\ndelete table bridge {TABLE}-nothing\n"

#: Where the ports begin that the kernel chooses (ip_local_port_range, ip(7)).
_FIRST_EPHEMERAL = 32768

_BEGINNING = "tcp flags & (syn | ack) == syn"


def table(ports: Sequence[Port], groups: Iterable[SecurityGroup]) -> str:
    """The whole table, in the place of what there is of it."""
    members: dict[str, list[Port]] = {}
    for port in ports:
        for each in port.security_group_ids:
            members.setdefault(each, []).append(port)
    known = {group.id: group for group in groups}
    sending, receiving, chains = [], [], []
    for port in ports:
        sending.append(f'iifname "{port.tap}" jump {port.tap}-from')
        chains.append(_chain(f"{port.tap}-from", _may_send(port)))
        if port.security_group_ids:
            receiving.append(f'oifname "{port.tap}" jump {port.tap}-to')
            rules = [rule for each in port.security_group_ids if each in known for rule in known[each].rules]
            chains.append(_chain(f"{port.tap}-to", _may_receive(rules, members)))
    hooks = [
        _chain("from-ports", ["type filter hook prerouting priority 0; policy accept;", *sending]),
        _chain("to-ports", ["type filter hook postrouting priority 0; policy accept;", *receiving]),
    ]
    return "\n".join([f"table bridge {TABLE}", f"delete table bridge {TABLE}", f"table bridge {TABLE} {{", *chains, *hooks, "}", ""])


def _may_send(port: Port) -> Iterable[str]:
    addresses = [*(each.ip_address for each in port.fixed_ips), *(each.ip_address for each in port.allowed_address_pairs)]
    # Who looks whether an address is somebody's, before it is its own, sends from none.
    four = [str(ipaddress.IPv4Address(0)), *(each for each in addresses if ":" not in each)]
    six = ["::", _link_local(port.mac_address), *(each for each in addresses if ":" in each)]
    macs = [port.mac_address, *(each.mac_address for each in port.allowed_address_pairs if each.mac_address)]
    yield f"ether saddr != {_set(macs)} drop"
    yield f"arp saddr ip != {_set(four)} drop"
    yield f"ip saddr != {_set(four)} drop"
    yield f"ip6 saddr != {_set(six)} drop"


def _may_receive(rules: Iterable[Rule], members: Mapping[str, Sequence[Port]]) -> Iterable[str]:
    yield "ether type arp accept"
    yield "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept"
    for rule in rules:
        if rule.direction == "ingress":
            yield from _allowed(rule, members)
    yield f"{_BEGINNING} drop"
    yield f"udp dport < {_FIRST_EPHEMERAL} drop"
    yield "icmp type echo-request drop"
    yield "icmpv6 type echo-request drop"
    yield "meta l4proto { tcp, udp, icmp, ipv6-icmp } accept"
    yield "drop"


def _allowed(rule: Rule, members: Mapping[str, Sequence[Port]]) -> Iterable[str]:
    ip, kind = ("ip6", "ip6") if rule.ethertype == "IPv6" else ("ip", "ip")
    words = [f"ether type {kind}"]
    if rule.remote_ip_prefix is not None:
        words.append(f"{ip} saddr {rule.remote_ip_prefix}")
    if rule.remote_group_id is not None:
        version = 6 if ip == "ip6" else 4
        known = [each.ip_address for port in members.get(rule.remote_group_id, ()) for each in port.fixed_ips]
        if not (sources := [each for each in known if ipaddress.ip_address(each).version == version]):
            return
        words.append(f"{ip} saddr {_set(sources)}")
    if rule.protocol is not None:
        words.append(f"meta l4proto {rule.protocol}")
    if rule.port_range_min is not None:
        words.append(f"th dport {rule.port_range_min}-{rule.port_range_max or rule.port_range_min}")
    yield " ".join([*words, "accept"])


def _set(values: Iterable[str]) -> str:
    return "{ " + ", ".join(dict.fromkeys(values)) + " }"


def _chain(name: str, lines: Iterable[str]) -> str:
    return "\n".join([f" chain {name} {{", *(f"  {line}" for line in lines), " }"])


def _link_local(hardware_address: str) -> str:
    """The address that Linux gives to an interface by itself (RFC 4291, appendix A)."""
    octets = [int(part, 16) for part in hardware_address.split(":")]
    words = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + words))
