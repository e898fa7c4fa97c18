"""Which addresses a port gets, within a transaction: those that it wants, or the next ones of its subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.errors import ConflictError, InvalidRequest
from hydria.octavia import addresses
from hydria.octavia.cloud_things import FixedIp, Port, Subnet, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydria.octavia.store import Transaction


def one_of_each(now: Transaction, network_id: str) -> list[Wanted]:
    """An address of each family, of the first subnet that has it."""
    found = {subnet.ip_version: subnet for subnet in reversed(now.find(Subnet)) if subnet.network_id == network_id}
    return [Wanted(found[version].id) for version in sorted(found)]


def given(now: Transaction, port: Port, wanted: Sequence[Wanted]) -> tuple[FixedIp, ...]:
    """The addresses that a port is to have, which nobody else has from then on."""
    subnets = [subnet for subnet in now.find(Subnet) if subnet.network_id == port.network_id]
    # Those whose addresses matter first: another one's turn may be just theirs.
    exact = {one: _exactly(now, port, one, subnets) for one in wanted if one.ip_address is not None}
    return tuple(exact[one] if one in exact else _any(now, port, one, subnets) for one in wanted)


def _exactly(now: Transaction, port: Port, wanted: Wanted, subnets: Sequence[Subnet]) -> FixedIp:
    address = addresses.same(str(wanted.ip_address))
    subnet = next((each for each in subnets if each.has(address) and wanted.subnet_id in (None, each.id)), None)
    if subnet is None:
        raise InvalidRequest(
            f"{address} is no address of {'subnet ' + wanted.subnet_id if wanted.subnet_id else 'network ' + port.network_id}"
        )
    if address == subnet.gateway_ip:
        raise ConflictError(f"{address} is the gateway of subnet {subnet.id}")
    now.take(port.network_id, address, port.id)
    return FixedIp(subnet.id, address)


def _any(now: Transaction, port: Port, wanted: Wanted, subnets: Sequence[Subnet]) -> FixedIp:
    subnet = next((each for each in subnets if each.id == wanted.subnet_id), None)
    if subnet is None:
        raise InvalidRequest(f"network {port.network_id} has no subnet {wanted.subnet_id}")
    # Its turn may have come meanwhile, within this transaction.
    subnet = now.get(Subnet, subnet.id)
    address = addresses.next_free(subnet, now.taken(port.network_id))
    if address is None:
        raise ConflictError(f"all addresses of subnet {subnet.name or subnet.id} ({subnet.cidr}) are taken")
    now.take(port.network_id, address, port.id)
    now.put(msgspec.structs.replace(subnet, after=address))
    return FixedIp(subnet.id, address)
