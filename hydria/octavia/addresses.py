"""Which address is next. Pure.

Addresses go round: one that was given back is given again as late as can be, because others may still think that they know whose it is.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from agent.errors import InvalidRequest
from hydria.octavia.cloud_things import Address, Range, Subnet

if TYPE_CHECKING:
    from collections.abc import Container, Sequence


def same(address: str) -> str:
    """The one way to write it. Raises InvalidRequest."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


def same_network(cidr: str) -> str:
    """The one way to write a subnet. Raises InvalidRequest."""
    try:
        return str(ipaddress.ip_network(cidr))
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


def overlap(one: str, other: str) -> bool:
    """Whether subnets have addresses in common."""
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    return first.version == second.version and first.overlaps(second)


def next_free(subnet: Subnet, taken: Container[str]) -> str | None:
    """The next address of its pools, after the last one that was given; None where all are taken."""
    pools = _numbers(subnet.pools)
    after = None if subnet.after is None else int(ipaddress.ip_address(subnet.after))
    make = type(ipaddress.ip_network(subnet.cidr).network_address)
    turn = pools if after is None else [*_beyond(pools, after), *_up_to(pools, after)]
    for first, last in turn:
        for number in range(first, last + 1):
            address = str(make(number))
            if address not in taken and address != subnet.gateway_ip:
                return address
    return None


def total(subnet: Subnet) -> int:
    """How many addresses its pools have."""
    gateway = None if subnet.gateway_ip is None else int(ipaddress.ip_address(subnet.gateway_ip))
    return sum(last - first + 1 - (gateway is not None and first <= gateway <= last) for first, last in _numbers(subnet.pools))


def pooled(subnet: Subnet, address: str) -> bool:
    """Whether an address is in one of its pools."""
    ip = ipaddress.ip_address(address)
    return ip in ipaddress.ip_network(subnet.cidr) and any(first <= int(ip) <= last for first, last in _numbers(subnet.pools))


def all_of(cidr: str) -> Range:
    """A pool of all hosts of a subnet."""
    net = ipaddress.ip_network(cidr)
    first: Address = net.network_address + (1 if net.num_addresses > 2 else 0)
    last: Address = net.broadcast_address - (1 if net.num_addresses > 2 and net.version == 4 else 0)
    return Range(str(first), str(last))


def hardware_address(identity: str) -> str:
    """A hardware address with the prefix that OpenStack's have, from the last digits of an id."""
    digits = identity.replace("-", "")[-6:]
    return f"fa:16:3e:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"


def _numbers(pools: Sequence[Range]) -> list[tuple[int, int]]:
    """The pools in order, as numbers."""
    return sorted((int(ipaddress.ip_address(pool.first)), int(ipaddress.ip_address(pool.last))) for pool in pools)


def _beyond(pools: Sequence[tuple[int, int]], after: int) -> list[tuple[int, int]]:
    return [(max(first, after + 1), last) for first, last in pools if last > after]


def _up_to(pools: Sequence[tuple[int, int]], after: int) -> list[tuple[int, int]]:
    return [(first, min(last, after)) for first, last in pools if first <= after]
