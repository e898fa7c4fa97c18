"""Which addresses the machine has just now: of a pair, one has the VIPs."""

from __future__ import annotations

from agent.network import namespaces
from agent.network.kernel import Kernel
from agent.network.words import Address


def holds(namespace: str, address: str) -> bool:
    """Whether an interface in the namespace has the address. Raises ValueError where it is none, SystemFault."""
    wanted = Address.parse(address)
    if not namespaces.exists(namespace):
        return False
    with Kernel(namespace) as kernel:
        return any(found.placed.address == wanted for found in kernel.addresses())
